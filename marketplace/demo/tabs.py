"""Wallets in tabs of a real Chromium, for a demo: each in a window with storage of its own, used as a person uses it, by its pages.

To the demo they look like one more wallet host. Two things no page shows are heard where they are, in the tab's worker: the update before
it is masked (for the check that sums are exact) and the steps of a visit. That is done from outside, by the browser's debugging door, which
whoever owns the browser has; the wallet's own files have no such place.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from marketplace.demo.chromium import BrowserError, Chromium, Window, installed

MOST = 16
"""Each tab is a process of about 100 MB."""
PAGE_SECONDS = 60.0
WORKER, AGENT, JOURNAL = "/tab/worker.js", "/wallet-app/agent.js", "/wallet-app/journal.js"

_FIND = """
const named = (name, text) => [...document.querySelectorAll(name)].find((one) => one.textContent.trim() === text);
const labelled = (text) => document.getElementById(named("label", text)?.htmlFor ?? "");
"""
_FILL = f"(label, value) => {{ {_FIND} const control = labelled(label); if (control) control.value = value; return Boolean(control); }}"
_TICK = f"(label) => {{ {_FIND} labelled(label).checked = true; }}"
_FILE = f"(label) => {{ {_FIND} return labelled(label); }}"
_CLICK = (
    f"(text) => {{ {_FIND} const found = named('button', text); found?.click(); return Boolean(found); }}"
)
_SHOWS = "(text) => document.body.innerText.includes(text)"
_TEXT = "() => document.body.innerText"
_GO = "(name) => { location.hash = '#/'; location.hash = `#/${name}`; }"
_DRAWN = "() => Boolean(document.querySelector('main h1'))"
_CODE = "() => document.querySelector('.big-code').innerText"
_WATCH = """async (path) => {
  const {Agent} = await import(path), {event} = Agent.prototype;
  Agent.prototype.event = function (name, what = {}) {
    tell(JSON.stringify({name, ...what}));
    event.call(this, name, what);
    self.atStep?.(this, name, what);
  };
  Object.defineProperty(Agent.prototype, "spy", {
    set() { self.agentHere = this; },
    get: () => ({task}, update) => tell(JSON.stringify({name: "update", job: [...task.job], round: task.round, update: [...update]})),
  });
}"""
_ENTRIES = "async (path) => (await import(path)).entries(self.agentHere.vault)"
_PERMITS = "async () => Object.keys(await self.agentHere.vault.list('permit'))"


class BrowserTabError(RuntimeError):
    """A tab did not come to what it should; the sentence says what was waited for."""


def browser_path() -> str:
    """Raises:
    BrowserTabError: no Chromium here.
    """
    path = installed()
    if path is None:
        raise BrowserTabError(
            "--browser-wallets needs a Chromium on this machine: install the package chromium."
        )
    return path


class Tab:
    """One wallet in one window."""

    def __init__(self, window: Window, site: str) -> None:
        self.window, self._site = window, site
        self._backup = window.downloads / "browser-wallet.cssi-backup"
        self._passphrase = secrets.token_urlsafe(16)

    def create(self) -> None:
        """The way of a new person: passphrase, recovery code, a backup that is shown to the wallet."""
        self._load()
        self.shows("Create my wallet")
        self.fill("Passphrase", self._passphrase)
        self.fill("The same again", self._passphrase)
        self.click("Create my wallet")
        self.shows("First, so that you never lose it")
        code = self.window.evaluate(_CODE)
        self.click("Save the backup")
        self._until(self._backup.exists, "the backup on the disk")
        self.fill("The first five characters of your recovery code", code[:5])
        self.window.choose_files(_FILE, [self._backup], "The backup file you saved")
        self.click("Check, and go to my wallet")
        self.shows("What would a collective need?")

    def open_again(self) -> None:
        """Reload, and unlock as a person does."""
        self._load()
        self.unlock()

    def unlock(self) -> None:
        """Type the passphrase where the wallet asks for it."""
        self._until(self._asks, "a place for the passphrase")
        self.click("Unlock")
        self._until(lambda: not self.showing("Use the recovery code instead"), "the wallet to open")

    def _asks(self) -> bool:
        # The page that was just left may not have let go of the wallet yet.
        self.window.evaluate(_CLICK, "Try again here")
        return bool(self.window.evaluate(_FILL, "Passphrase", self._passphrase))

    def restore(self) -> None:
        """Bring the wallet back from the backup that was kept, into a browser that has none."""
        self.window.choose_files(_FILE, [self._backup], "Backup file")
        self.fill("Passphrase or recovery code", self._passphrase)
        self.click("Restore")
        self.shows("Your wallet is back.")

    def _load(self) -> None:
        gone = self.window.worker(WORKER)
        self.window.go(f"{self._site}/wallet-app/")
        self._until(lambda: self.window.worker(WORKER) not in {"", gone}, "the wallet's worker")
        # A worker that is asked to import while its own script is still on its way may never answer. A page with a heading has heard from it.
        self._until(lambda: self.window.evaluate(_DRAWN), "the wallet's first page")
        self.window.watch(self.window.worker(WORKER), _WATCH, AGENT)

    def import_data(self, record: dict[str, Any], collective: str) -> None:
        """Import the record from a file, for what this collective asks."""
        file = self.window.downloads / "record.json"
        file.write_text(json.dumps(record), encoding="utf-8")
        try:
            self.page("data", "What would a collective need?")
            self.fill("Id of the collective", collective)
            self.click("Show what it asks for")
            self.shows("Still missing for")
            self.window.choose_files(_FILE, [file], "JSON or CSV file")
            self.click("Look at it")
            self.shows("Everything it asks for is here.")
        finally:
            file.unlink()

    def pair(self, link: str) -> None:
        """With the link of the person's account; offers confirmed there are taken up without another question."""
        self.page("now", "Pair with your account")
        self.fill("Pairing link", link)
        self.window.evaluate(_TICK, "What I confirm on the web counts as my yes")
        self.click("Pair")
        self._until(lambda: not self.showing("Pair with your account"), "the wallet to be paired")

    def entries(self) -> list[dict[str, Any]]:
        """Its journal."""
        return list(self.inside(_ENTRIES, JOURNAL))

    def permits(self) -> list[str]:
        return list(self.inside(_PERMITS))

    def happened(self, name: str, **what: Any) -> list[dict[str, Any]]:
        """What it did by itself so far, also before a reload: events of a name with these fields."""
        wanted = {"name": name, **what}
        return [one for one in tuple(self.window.told) if wanted.items() <= one.items()]

    def picture(self) -> bytes:
        """The page “Now”."""
        self.page("now", "Join a collective")
        return self.window.picture()

    def page(self, name: str, shows: str) -> None:
        """Go there, again and again until it shows this: some pages are drawn only when one comes to them."""

        def there() -> bool:
            self.window.evaluate(_GO, name)
            time.sleep(1)
            return self.showing(shows)

        self._until(there, f"“{shows}” on the page {name}")

    def fill(self, label: str, value: str) -> None:
        self._until(lambda: self.window.evaluate(_FILL, label, value), f"a place for “{label}”")

    def click(self, text: str) -> None:
        self._until(lambda: self.window.evaluate(_CLICK, text), f"a button “{text}”")

    def showing(self, text: str) -> bool:
        return bool(self.window.evaluate(_SHOWS, text))

    def shows(self, text: str) -> None:
        self._until(lambda: self.showing(text), f"“{text}”")

    def inside(self, script: str, *arguments: Any) -> Any:
        """The value of a function called in the wallet's worker."""
        return self.window.evaluate(script, *arguments, session=self.window.worker(WORKER))

    def _until(self, condition: Callable[[], Any], what: str) -> None:
        limit = time.monotonic() + PAGE_SECONDS
        while True:
            try:
                if condition():
                    return
            except BrowserError:
                pass  # the page is being loaded
            if time.monotonic() > limit:
                page = self.window.evaluate(_TEXT)
                raise BrowserTabError(
                    f"A wallet in a tab waited {PAGE_SECONDS:.0f} s for {what}. It shows: {page}"
                )
            time.sleep(0.2)


class TabHost:
    """All tabs of a demo, with the commands of a wallet host that a demo asks of its wallets (`wallets.host`)."""

    def __init__(self, number: int, *, site: str, folder: Path, log: Path) -> None:
        self._browser = Chromium(browser_path(), profile=folder / "profile", log=log)
        self.version = self._browser.version
        self.tabs = {
            f"tab-{n}": Tab(Window(self._browser, downloads=folder / f"tab-{n}"), site) for n in range(number)
        }
        self._records: dict[str, dict[str, Any]] = {}

    def create(self, records: Sequence[dict[str, Any]]) -> list[str]:
        """Make one wallet per record; their names. The data follows with `import_data`, once a collective asks for it."""
        self._records = dict(zip(self.tabs, records, strict=True))
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Tab.create, self.tabs.values()))
        return list(self.tabs)

    def import_data(self, collective: str) -> None:
        for name, tab in self.tabs.items():
            tab.import_data(self._records[name], collective)
        self._records = {}

    def call(self, cmd: str, **fields: Any) -> dict[str, Any]:
        """Raises:
        BrowserTabError, BrowserError: it could not be done.
        """
        if cmd == "spy":
            Path(fields["path"]).write_text(json.dumps(self.spied()), encoding="utf-8")
            return {}
        tab = self.tabs[fields["wallet"]]
        match cmd:
            case "pair":
                tab.pair(fields["link"])
                return {}
            case "visits":
                kinds = fields["kinds"]
                return {"entries": [entry for entry in tab.entries() if entry["kind"] in kinds]}
            case "permits":
                return {"permits": tab.permits()}
        raise BrowserTabError(f"Wallets in tabs know no command {cmd}.")

    def events(self, name: str) -> list[dict[str, Any]]:
        """What wallets did by themselves, of one name, so far."""
        return [
            {**event, "wallet": wallet} for wallet, tab in self.tabs.items() for event in tab.happened(name)
        ]

    def picture(self) -> bytes:
        return next(iter(self.tabs.values())).picture()

    def stop(self) -> None:
        self._browser.stop()

    def spied(self) -> list[dict[str, Any]]:
        """As `wallets.host` writes it: per job and round, each wallet's update and steps."""
        found: dict[tuple[str, int], dict[str, Any]] = {}
        for name, tab in self.tabs.items():
            for one in tab.happened("update"):
                steps = [event["step"] for event in tab.happened("step", round=one["round"])]
                vector = base64.b64encode(np.array(one["update"], dtype="<i8").tobytes()).decode()
                key = (str(uuid.UUID(bytes=bytes(one["job"]))), one["round"])
                found.setdefault(key, {})[name] = {"vector": vector, "steps": steps}
        return [{"job": job, "round": number, "wallets": wallets} for (job, number), wallets in found.items()]
