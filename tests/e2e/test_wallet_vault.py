"""The tab's vault in a real profile folder: nothing in it is plain, a deleted permit's key is gone from the disk, one tab has it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.e2e.conftest import FLAGS, chromium
from tests.e2e.tab import ask, opened, serving, settled

pytestmark = pytest.mark.e2e
NOW = 1_800_000_000
PHRASE = "correct horse battery staple"


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with serving() as url:
        yield url


class Profile:
    """A browser's profile folder; the browser on it is started and ended again and again."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self._browser, self.folder = browser, folder
        self._context: BrowserContext | None = None

    def start(self) -> BrowserContext:
        assert self._context is None
        path = chromium()
        self._context = self._browser.browser_type.launch_persistent_context(
            str(self.folder), executable_path=path, args=FLAGS
        )
        return self._context

    def end(self) -> None:
        if self._context is not None:
            self._context.close()
            self._context = None

    def files_with(self, part: bytes) -> list[str]:
        """Files anywhere in the folder that contain these bytes."""
        paths = [Path(top) / name for top, _, names in os.walk(self.folder) for name in names]
        found = [path for path in paths if path.is_file() and part in path.read_bytes()]
        return [str(path.relative_to(self.folder)) for path in found]


@pytest.fixture
def profile(browser: Browser, tmp_path: Path) -> Iterator[Profile]:
    made = Profile(browser, tmp_path / "profile")
    yield made
    made.end()


def spelled(word: str) -> list[bytes]:
    """The ways a browser may write text to its disk."""
    return [word.encode(), word.encode("utf-16-le")]


def test_the_profile_holds_nothing_in_plain_and_a_deleted_key_is_gone(site: str, profile: Profile) -> None:
    page = opened(profile.start().new_page(), site, "vault")
    assert ask(page, "storage") is None
    code = ask(page, "create", passphrase=PHRASE, now=NOW)
    private, other = secrets.token_hex(32), secrets.token_hex(32)
    for name, key in (("collective-to-leave", private), ("collective-to-keep", other)):
        assert ask(page, "put", category="permit", name=name, value={"permit": "granted to tests"}) is None
        ask(page, "put", category="keys", name=name, value={"subscription": key})
    ask(page, "put", category="record", name="main", value={"diagnosis": "lupus erythematosus"})
    lay, stays = bytes.fromhex(ask(page, "strip", slot=0)), bytes.fromhex(ask(page, "strip", slot=1))
    profile.end()
    assert profile.files_with(lay), "the wrapped key is on the disk, so its absence below means something"
    assert profile.files_with(stays)
    secrets_of_it = [
        PHRASE,
        code,
        code.replace("-", ""),
        private,
        other,
        "lupus",
        "granted to tests",
        "collective-to",
    ]
    for word in secrets_of_it:
        for part in [*spelled(word), *([bytes.fromhex(word)] if word in {private, other} else [])]:
            assert profile.files_with(part) == [], word

    page = opened(profile.start().new_page(), site, "vault")
    ask(page, "storage")
    assert ask(page, "open", kind="passphrase", secret="wrong", now=NOW)["error"] == "wrong_passphrase"
    assert ask(page, "open", kind="recovery", secret=code, now=NOW) is None
    assert ask(page, "get", category="record", name="main") == {"diagnosis": "lupus erythematosus"}
    assert ask(page, "get", category="keys", name="collective-to-leave") == {"subscription": private}
    for category in ("permit", "keys"):
        ask(page, "remove", category=category, name="collective-to-leave")
    assert ask(page, "erase") == 1
    assert profile.files_with(lay) == [], "overwritten where it lay, while the browser still runs"
    ask(page, "lock")
    assert ask(page, "get", category="record", name="main")["error"] == "store_closed"
    profile.end()
    assert profile.files_with(lay) == []
    assert profile.files_with(stays)

    page = opened(profile.start().new_page(), site, "vault")
    ask(page, "storage")
    assert ask(page, "open", kind="passphrase", secret=PHRASE, now=NOW) is None
    assert ask(page, "get", category="keys", name="collective-to-keep") == {"subscription": other}
    assert ask(page, "verify") is None
    old, recovery = (slot["wrapped"].encode() for slot in ask(page, "slots"))
    assert profile.files_with(old)
    ask(page, "change", kind="passphrase", secret=PHRASE, changed="passphrase", next="another one", now=NOW)
    assert profile.files_with(old) == [], "the old passphrase opens nothing any more"
    (new,) = [slot["wrapped"].encode() for slot in ask(page, "slots") if slot["kind"] == "passphrase"]
    assert profile.files_with(new)
    ask(page, "destroy")
    profile.end()
    for part in (stays, new, recovery):
        assert profile.files_with(part) == []


def test_one_tab_has_the_wallet(site: str, profile: Profile) -> None:
    context = profile.start()
    first, second = (opened(context.new_page(), site, "vault") for _ in range(2))
    assert ask(first, "alone") is True
    assert ask(second, "alone") is False
    ask(first, "give_back")
    settled(second, "alone", True)
    ask(first, "storage")
    assert ask(second, "storage")["error"] == "store_busy"
    first.close()
    settled(opened(context.new_page(), site, "vault"), "storage", None)
