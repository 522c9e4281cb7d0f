"""A small stack for tests: `manage.py serve` on ports and a folder of its own, a dozen real wallets, one collective.

Everything is the real thing in processes of its own: broker, chain, web, worker, wallet host. Between wallets and server stand two
proxies, one before the distributor and one before the aggregator, which record the line and can be switched off.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import httpx

from marketplace.demo.hosts import HostProcess, Hosts
from marketplace.demo.isolation import free_port
from tests.stack.acts import PASSWORD
from tests.stack.proxy import Proxy

ROOT = Path(__file__).resolve().parent.parent.parent
WALLETS = 12
BUCKET_MIN = RELEASE_MIN = 5
COHORT = 8
RATE = 5 * 10**15
FUNDS = 1000 * 10**18
PHASES = {"advertise": 15, "share_keys": 8, "masked_input": 8, "consistency": 8, "unmask": 8}
PLAN = {
    "cohort": COHORT,
    "bucket_size": 10,
    "over_selection_ppm": 1_000_000,
    "accept_seconds": 4,
    "enrol_seconds": 10,
    "phase_seconds": PHASES,
}


def stack_environment(folder: Path, **more: str) -> dict[str, str]:
    """An environment in which nothing of the test run or of somebody's site is left."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CSSI_", "DJANGO_", "PYTEST_"))}
    return kept | {
        "CSSI_VAR": str(folder),
        "CSSI_PORT": str(free_port()),
        "CSSI_CHAIN_PORT": str(free_port()),
        "CSSI_NOTICE_SECONDS": "1",
        "CSSI_DEVELOPMENT_MINIMA": "True",
        "DJANGO_SETTINGS_MODULE": "marketplace.settings.local",
        "OMP_NUM_THREADS": "1",
        "PYTHONUNBUFFERED": "1",
        **more,
    }


def until(condition: Callable[[], Any], *, seconds: float, what: str, every: float = 0.2) -> Any:
    """The first true answer.

    Raises:
        AssertionError: it did not come true in time.
    """
    limit = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < limit, f"waited {seconds:.0f} s for {what}"
        time.sleep(every)
    return answer


class Serve:
    """`manage.py serve` as a person starts it: in a terminal's process group of its own."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self._lines: list[str] = []
        self.process: subprocess.Popen[str] | None = None

    def start(self, *arguments: str, seconds: float = 180) -> None:
        """Start and wait until it says where it is open."""
        self.begin(*arguments)
        assert self.process is not None
        until(
            lambda: "Open http" in self.said or self.process.poll() is not None, seconds=seconds, what="serve"
        )
        assert self.process.poll() is None, self.said

    def begin(self, *arguments: str) -> None:
        self._lines = []
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self._lines.append(line)

    @property
    def said(self) -> str:
        return "".join(self._lines)

    def pids(self) -> dict[str, int]:
        """The last known process of each part."""
        return {name: int(pid) for name, pid in re.findall(r"(\w+) is up \(pid (\d+)\)", self.said)}

    def stop(self, number: signal.Signals = signal.SIGINT, seconds: float = 40) -> int:
        """Ctrl-C, and wait for the end; the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(seconds)
        self._reader.join(10)
        self.process = None
        return code

    def kill(self) -> None:
        """Whatever is left; its parts die with it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self.process = None


class Inside:
    """The process of `tests.stack.acts` on the stack's settings."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.stack.acts"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._log = log
        assert self._answer() == "ready"

    def __getattr__(self, act: str) -> Callable[..., Any]:
        def call(**fields: Any) -> Any:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"act": act, **fields}) + "\n")
            self._process.stdin.flush()
            return self._answer()

        return call

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._log.read_text()
        answer = json.loads(line)
        if not answer["ok"]:
            raise ActError(answer["code"], answer["detail"])
        return answer["answer"]

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


class ActError(RuntimeError):
    """The stack refused; `code` says why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail


class Browser:
    """One person signed in on the site, with forms and API."""

    def __init__(self, base: str, email: str, password: str = PASSWORD) -> None:
        self.base = base
        self.http = httpx.Client(base_url=base, timeout=60, trust_env=False, follow_redirects=True)
        self.http.get("/accounts/login/")
        answer = self.post("/accounts/login/", login=email, password=password)
        assert "/accounts/login/" not in str(answer.url), answer.text[-2000:]

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path)

    def post(self, path: str, **fields: str) -> httpx.Response:
        """A form, as the page would send it."""
        token = {"csrfmiddlewaretoken": self.http.cookies["csrftoken"]}
        return self.http.post(path, data=fields | token, headers={"Referer": self.base + path})

    def api(self, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        headers = {"X-CSRFToken": self.http.cookies["csrftoken"], "Referer": self.base}
        return self.http.post(f"/api/v1/{path}", json=body or {}, headers=headers)


class SmallStack:
    """Up when made: wallets paired, subscribed and connected, the algorithm past its notice period, Carla funded."""

    slow = 1.0
    """Everything is waited for so many times as long as on a machine that does nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        environment = stack_environment(folder)
        self.url = f"http://127.0.0.1:{environment['CSSI_PORT']}"
        self.distributor_line = Proxy(int(environment["CSSI_PORT"]))
        self.aggregator_line = Proxy(int(environment["CSSI_PORT"]))
        self.environment = environment | {
            "DISTRIBUTOR_URL": self.distributor_line.url,
            "AGGREGATOR_URL": self.aggregator_line.url,
        }
        self.serve = Serve(self.environment)
        self.hosts: Hosts | None = None
        self.inside: Inside | None = None

    def up(self) -> None:
        self.serve.start()
        self.inside = Inside(self.environment, self.folder / "logs" / "acts.log")
        self.populate()

    def start_host(self) -> HostProcess:
        """The process that keeps all wallets; those in its folder already are opened again."""
        return HostProcess(
            directory=self.folder / "wallets",
            arguments=[
                *("--server", self.url, "--rule", "confirmed-on-web", "--slots", "1", "--spy"),
                *("--visits-per-day", "1000", "--allow-development"),
            ],
            log=self.folder / "logs" / "host.log",
        )

    def populate(self) -> None:
        """People, wallets, a collective, subscriptions: on servers that are up."""
        host = self.start_host()
        self.hosts = Hosts([host])
        self.cast = self.inside.cast(faucet=str(FUNDS))
        self.people = self.inside.people(count=WALLETS)
        host.wait_ready(60 * self.slow)
        self.hosts.create(records(), self.folder)
        made = self.inside.collective(bucket_min=BUCKET_MIN, release_min=RELEASE_MIN)
        self.collective, self.manifest_hash = made["collective"], made["manifest_hash"]
        for number in range(WALLETS):
            self._subscribe(number)
        until(
            lambda: all(self.link(n)["collective"] == "active" for n in range(WALLETS)),
            seconds=60 * self.slow,
            what="all wallets to subscribe",
        )
        until(
            lambda: self.inside.admission_status(admission=made["admission"]) == "active",
            seconds=30 * self.slow,
            what="the notice period",
        )
        self.carla = Browser(self.url, self.cast["carla"])

    def _subscribe(self, number: int) -> None:
        """As a person does it: pair on the web, link into the wallet, Subscribe on the consent page."""
        browser = Browser(self.url, self.people[number])
        page = browser.post("/wallet/pair/").text
        link = re.search(r"cssi://pair\?[^\"<\s]+", page)
        assert link is not None, page
        self.hosts.call(number, "pair", link=link[0].replace("&amp;", "&"))
        wallet = re.search(r'name="wallet"[^>]*value="([^"]+)"', browser.get(self._consent()).text)
        answer = browser.post(self._consent(), **({"wallet": wallet[1]} if wallet else {}))
        assert answer.status_code == 200, answer.text

    def _consent(self) -> str:
        return f"/wallet/subscribe/{self.collective}/"

    # looking

    def link(self, number: int) -> dict[str, Any]:
        return dict(self.inside.link(email=self.people[number], collective=self.collective))

    def job(self, job: str) -> dict[str, Any]:
        return dict(self.inside.job(job=job))

    def visits(self) -> dict[int, int]:
        """Receipts in each wallet's own journal, over all jobs."""
        found = dict.fromkeys(range(WALLETS), 0)
        for host in self.hosts.all:
            for event in host.events("visit"):
                found[self.hosts.number_of(host, event["wallet"])] += 1
        return found

    def paid(self) -> dict[int, int]:
        """Base units that the chain paid to each wallet, over all jobs."""
        answer = self.inside.paid(emails=self.people)
        return {number: int(answer[email]) for number, email in enumerate(self.people)}

    def proven(self, number: int) -> list[int]:
        """Rounds for which this wallet signed a receipt, over all jobs."""
        host, name = self.hosts.of(number)
        return [event["round"] for event in host.events("visit") if event["wallet"] == name]

    def suffered(self) -> list[dict[str, Any]]:
        """Every planned fault with the wallets it hit, by number."""
        host = self.hosts.all[0]
        return [
            fault | {"suffered": [self.hosts.number_of(host, name) for name in fault["suffered"]]}
            for fault in host.call("faults")["faults"]
        ]

    def permits(self, number: int) -> list[str]:
        return list(self.hosts.call(number, "permits")["permits"])

    def fault(self, kind: str, *, round: int, wallets: list[int], after: str = "joined") -> None:  # noqa: A002
        names = [self.hosts.of(number)[1] for number in wallets]
        self.hosts.all[0].call("fault", round=round, kind=kind, after=after, count=len(names), wallets=names)

    # doing

    def order(self, *, budget: int, max_rounds: int, **plan: Any) -> str:
        """An ordered and funded job."""
        job = self.inside.order(
            collective=self.collective,
            manifest_hash=self.manifest_hash,
            budget=str(budget),
            max_rounds=max_rounds,
            plan=PLAN | plan,
        )
        answer = self.carla.api(f"jobs/{job}/fund")
        assert answer.status_code == 200, answer.text
        return str(job)

    def connect(self, *numbers: int) -> None:
        """Switch wallets on again, and wait until the distributor hears them."""
        host = self.hosts.all[0]
        host.call("run", wallets=[self.hosts.of(number)[1] for number in numbers])
        until(
            lambda: host.call("status")["connected"] == WALLETS,
            seconds=60,
            what="all wallets to be connected",
        )

    def until_round(self, job: str, number: int, status: str, *, seconds: float = 90) -> dict[str, Any]:
        """The job once that round stands so (or later)."""

        def there() -> dict[str, Any] | None:
            found = self.job(job)
            rows = [row for row in found["rounds"] if row["number"] == number]
            return found if rows and rows[0]["status"] == status else None

        return dict(until(there, seconds=seconds, what=f"round {number} to be {status}"))

    def until_closed(self, job: str, *, seconds: float = 120) -> dict[str, Any]:
        """The job once every visit is paid and the rest refunded."""

        def there() -> dict[str, Any] | None:
            found = self.job(job)
            return found if found["closed"] else None

        try:
            return dict(until(there, seconds=seconds, what="the job to be settled"))
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.job(job)}, {self.inside.money(job=job)}") from None

    def down(self) -> None:
        if self.hosts is not None:
            self.hosts.stop()
        if self.inside is not None:
            self.inside.end()
        if self.serve.process is not None:
            self.serve.stop()
        self.distributor_line.end()
        self.aggregator_line.end()


def records() -> list[dict[str, Any]]:
    """One person's record per wallet, each with a text that exists nowhere else."""
    return [
        {"age": 25 + n * 3, "hours": 5.0 + n / 3, "rested": n % 2 == 0, "private_note": canary(n)}
        for n in range(WALLETS)
    ]


def canary(number: int) -> str:
    return f"canary-{number:02d}-only-in-this-wallet"
