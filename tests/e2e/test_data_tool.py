"""The data creation tool as a file on a disk: opened in a real Chromium without a network, filled in, and imported by a real wallet."""

from __future__ import annotations

import asyncio
import copy
import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from collectives.datatool import page as tool
from collectives.datatool import saved
from collectives.terms.canonical import digest
from collectives.terms.requirements import requirement_hash, validate
from marketplace.demo.job_performance import job_performance, requirement
from tests.e2e.looking import fill_job_performance
from tests.e2e.test_accessibility import violations
from wallets.agent import cli, vault
from wallets.agent.keyfile import Argon2Cost

pytestmark = pytest.mark.e2e
CATALOGUE = Path(tool.__file__).parent / "german_form.js"
Opened = tuple[Page, list[str], list[str]]


@pytest.fixture
def contexts(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    made: list[BrowserContext] = []

    def new(**options: Any) -> BrowserContext:
        made.append(browser.new_context(accept_downloads=True, reduced_motion="reduce", **options))
        return made[-1]

    yield new
    for context in made:
        context.close()


@pytest.fixture
def opened(contexts: Callable[..., BrowserContext], tmp_path: Path) -> Callable[..., Opened]:
    """`opened(requirement)` -> the page from file://, the requests it made, and what it complained about."""

    def new(asked: dict[str, Any], **options: Any) -> Opened:
        path = tmp_path / "data-tool.html"
        path.write_text(tool.render(asked), "utf-8")
        page = contexts(**options).new_page()
        page.set_default_timeout(10_000)
        requests: list[str] = []
        complaints: list[str] = []
        page.on("request", lambda request: requests.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.goto(path.as_uri())
        return page, requests, complaints

    return new


def test_a_person_fills_it_offline_and_the_wallet_imports_what_it_saved(
    opened: Callable[..., Opened], tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = job_performance(people=10).train[0]
    page, requests, complaints = opened(requirement(), offline=True)

    assert page.get_by_role("status").inner_text() == "6 things are missing or wrong."
    fill_job_performance(page, person)
    assert page.get_by_role("status").inner_text().startswith("Everything that is asked for is here")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the file").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)

    kept = json.loads(file.read_text("utf-8"))
    assert kept["requirement_id"] == requirement_hash(requirement())
    assert kept["hash"] == digest(kept["data"]).hex()
    in_order = {name: sorted(person[name]) for name in ("preferences", "characteristics")}
    assert {**kept["data"], **{name: sorted(kept["data"][name]) for name in in_order}} == {
        **person,
        **in_order,
    }
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "blob:"))] == []
    assert sum(url.startswith("file:") for url in requests) == 1
    _import_into_a_wallet(file, tmp_path, capsys, monkeypatch)


def test_it_speaks_german_to_who_reads_german(opened: Callable[..., Opened]) -> None:
    page, requests, complaints = opened(
        requirement(), offline=True, locale="de-AT", viewport={"width": 320, "height": 900}
    )
    assert page.locator("html").get_attribute("lang") == "de"
    assert page.title() == "Werkzeug für deine Daten"
    assert page.get_by_role("status").inner_text() == "6 Angaben fehlen oder sind falsch."
    page.get_by_role("button", name="Die Datei für meine Wallet speichern").click()
    assert "peer_review fehlt" in page.locator("#problems").inner_text()
    shown = page.locator("body").inner_text()
    keys = re.findall(r'^  "([^"{]{9,})": "', CATALOGUE.read_text("utf-8"), re.M)
    assert len(keys) > 25  # of the form itself; sentences with a blank in them are not looked for
    assert [key for key in keys if key in shown] == []
    assert violations(page) == []
    assert complaints == []
    assert sum(url.startswith("file:") for url in requests) == len(requests)


def _import_into_a_wallet(file: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, asked = tmp_path / "passphrase", tmp_path / "requirement.json"
    secret.write_text("correct horse battery\n")
    asked.write_text(json.dumps(requirement()))
    monkeypatch.setenv("WALLET_PASSPHRASE_FILE", str(secret))
    monkeypatch.setattr(vault, "Argon2Cost", lambda: Argon2Cost(memory_kib=64, passes=1))

    def wallet(*words: str) -> tuple[int, str, str]:
        code = cli.main(["--wallet", str(tmp_path / "wallet"), *words])
        return code, *capsys.readouterr()

    # Playwright's loop runs in this thread; the wallet's commands start their own.
    monkeypatch.setattr(asyncio, "run", _elsewhere)
    assert wallet("init")[0] == 0
    code, out, _ = wallet("import", str(file), "--requirement", str(asked), "--dry-run")
    assert (code, "would be added: characteristics, job_title" in out, "Nothing was changed" in out) == (
        0,
        True,
        True,
    )
    code, out, _ = wallet("import", str(file), "--requirement", str(asked))
    assert (code, "6 fields added, 0 replaced" in out) == (0, True)
    changed = json.loads(file.read_text())
    changed["data"]["peer_review"] = (changed["data"]["peer_review"] + 1) % 10
    file.write_text(json.dumps(changed))
    code, _, err = wallet("import", str(file), "--requirement", str(asked))
    assert (code, "changed after it was saved" in err) == (2, True)
    file.write_text(json.dumps(saved.pack(requirement(), changed["data"])))
    code, _, err = wallet("import", str(file), "--requirement", str(asked))
    assert (code, "would replace values already in the wallet: peer_review" in err) == (2, True)
    code, out, _ = wallet("import", str(file), "--requirement", str(asked), "--yes")
    assert (code, "0 fields added, 1 replaced" in out) == (0, True)


def _elsewhere(work: Any) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.Runner().run, work).result()


CHANGES: list[Callable[[dict[str, Any]], Any]] = [
    lambda r: None,
    lambda r: r.pop("job_title"),
    lambda r: r.update(skills=r["skills"][:3]),
    lambda r: r["skills"][0].update(measurements=[]),
    lambda r: r["skills"][1].update(measurements=[11, "x", -1]),
    lambda r: r["skills"][1].update(name=r["skills"][0]["name"]),
    lambda r: r["skills"][2].pop("name"),
    lambda r: r.update(preferences=r["preferences"][:4]),
    lambda r: r.update(manager_evaluation=11, peer_review=7.5),
    lambda r: r.update(job_title="astronaut", shoe_size=43, hat="no"),
    lambda r: r["characteristics"].append(r["characteristics"][0]),
    lambda r: r.update(skills="many", preferences={"a": 1}, characteristics=None, peer_review=True),
    lambda r: r.clear(),
]


def test_the_page_says_what_the_wallet_says(opened: Callable[..., Opened]) -> None:
    """Two implementations of the profile, one in each language, held against each other on the same records."""
    page, _, _ = opened(requirement())
    for change in CHANGES:
        record = copy.deepcopy(job_performance(people=10).train[1])
        change(record)
        said = page.evaluate("data => dataTool.problems(data)", record)
        assert set(said) == {str(problem) for problem in validate(requirement(), record)}


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"b": 1, "a": [True, None, 'ü\u2028\U0001f600"\\']},
        [1e21, 1e-7, 0.1, -0.0, 1.0, 2**53 - 1],
        "x" * 119,
        "x" * 64,
    ],
)
def test_the_page_computes_the_same_ids(opened: Callable[..., Opened], value: Any) -> None:
    page, _, _ = opened(requirement())
    assert page.evaluate("value => dataTool.idOf(value)", value) == digest(value).hex()
    assert page.locator("#id").inner_text() == requirement_hash(requirement())


WAYS_OUT = {
    "connect-src": 3,  # fetch, socket, beacon
    "img-src": 1,
    "script-src-elem": 2,  # from elsewhere, and written into the page
    "style-src-elem": 1,
    "frame-src": 1,
    "media-src": 1,
    "form-action": 1,
}
TRY_THEM = """([there, expected]) => new Promise((done) => {
    const blocked = {};
    const end = () => done([blocked, globalThis.out ?? 0]);
    document.addEventListener("securitypolicyviolation", ({ effectiveDirective: name }) => {
        blocked[name] = (blocked[name] ?? 0) + 1;
        if (Object.entries(expected).every(([one, times]) => blocked[one] >= times)) end();
    });
    setTimeout(end, 60_000); // only a way that is not blocked is waited for so long: what was seen until then is what fails
    fetch(there).catch(() => 0);
    try { new WebSocket(there.replace("http", "ws")); } catch { /* said so at once */ }
    navigator.sendBeacon(there, "x");
    const add = (tag, more) => document.body.append(Object.assign(document.createElement(tag), more));
    add("img", {src: there}); add("script", {src: there}); add("script", {textContent: "globalThis.out = 1"});
    add("link", {rel: "stylesheet", href: there}); add("iframe", {src: there}); add("audio", {src: there});
    const form = Object.assign(document.createElement("form"), {action: there, method: "post"});
    document.body.append(form); form.submit();
})"""


def test_its_policy_forbids_every_way_out(opened: Callable[..., Opened]) -> None:
    """Each way is tried, and the browser itself says that its policy refused it; however long it takes to say so."""
    page, _, _ = opened(requirement())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(1.0)
        there = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        blocked, ran = page.evaluate(TRY_THEM, [there, WAYS_OUT])
        assert _heard(listener) == b""
    assert ran == 0
    assert {name: seen for name, seen in WAYS_OUT.items() if blocked.get(name, 0) < seen} == {}, blocked


def _heard(listener: socket.socket) -> bytes:
    """What was sent to a listener. Chromium may open a connection ahead of asking its policy; nothing may be said on it."""
    heard = b""
    with suppress(TimeoutError):
        while True:
            line, _ = listener.accept()
            line.settimeout(0.5)
            with line, suppress(TimeoutError):
                heard += line.recv(1000)
    return heard


def test_it_checks_while_typing_and_saves_nothing_incomplete(opened: Callable[..., Opened]) -> None:
    page, _, _ = opened(requirement())
    grade = page.get_by_label("peer review")
    grade.fill("12")
    assert page.get_by_text("must be at most 10").first.is_visible()
    assert grade.get_attribute("aria-invalid") == "true"
    grade.fill("7.5")
    assert page.get_by_text("must be a whole number").first.is_visible()
    grade.fill("7")
    assert grade.get_attribute("aria-invalid") == "false"
    assert page.get_by_role("button", name="skills: 0 of at least 5").count() == 1

    downloads: list[Any] = []
    page.on("download", lambda download: downloads.append(download))
    page.get_by_role("button", name="Save the file").click()
    assert page.evaluate("document.activeElement.id") == page.get_by_label("job title").get_attribute("id")
    assert page.get_by_text("job_title is missing").first.is_visible()
    assert downloads == []


def test_a_saved_file_can_be_opened_again(opened: Callable[..., Opened], tmp_path: Path) -> None:
    person = job_performance(people=10).train[2]
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(saved.pack(requirement(), person)))
    page, _, _ = opened(requirement())
    page.get_by_label("A file that this page saved").set_input_files(file)
    page.get_by_text("Everything that is asked for is here").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the file").click()
    data = json.loads(Path(download.value.path()).read_text())["data"]
    assert data["skills"] == person["skills"]
    assert sorted(data["preferences"]) == sorted(person["preferences"])

    file.write_text(json.dumps(saved.pack(requirement(), person) | {"hash": "00" * 32}))
    page.get_by_label("A file that this page saved").set_input_files(file)
    page.get_by_text("The file was changed after it was saved.").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_it_is_accessible(opened: Callable[..., Opened], scheme: str, width: int) -> None:
    page, _, _ = opened(requirement(), color_scheme=scheme, viewport={"width": width, "height": 800})
    page.get_by_label("peer review").fill("12")
    page.get_by_role("button", name="Save the file").click()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_it_is_usable_by_keyboard_alone(opened: Callable[..., Opened], tmp_path: Path) -> None:
    asked = {
        "type": "object",
        "additionalProperties": False,
        "required": ["age", "ill"],
        "title": "About you",
        "properties": {
            "age": {"type": "integer", "minimum": 18, "maximum": 98},
            "ill": {"type": "boolean"},
            "notes": {"type": "array", "maxItems": 3, "items": {"type": "string", "maxLength": 40}},
        },
    }
    page, _, _ = opened(asked)
    keys = page.keyboard
    keys.press("Tab")
    keys.type("41")
    keys.press("Tab")
    keys.type("yes")
    keys.press("Tab")
    keys.press("Enter")  # "Add to notes": the new entry has the focus
    keys.type("a word")
    assert page.get_by_role("status").inner_text().startswith("Everything")
    for _ in range(3):
        keys.press("Tab")
    with page.expect_download() as download:
        keys.press("Enter")
    data = json.loads(Path(download.value.path()).read_text())["data"]
    assert data == {"age": 41, "ill": True, "notes": ["a word"]}


def test_what_a_collective_writes_stays_text(opened: Callable[..., Opened]) -> None:
    evil = "</script><script>globalThis.out = 1</script><img src=x onerror='globalThis.out = 2'>"
    asked = {
        "type": "object",
        "additionalProperties": False,
        "title": evil,
        "description": "<!--<script>",
        "properties": {
            evil[:100]: {"type": "string", "title": evil},
            "__proto__": {"type": "string"},
            "constructor": {"type": "string", "enum": [evil]},
        },
    }
    page, requests, complaints = opened(asked)
    assert page.evaluate("globalThis.out ?? 0") == 0
    assert page.get_by_role("heading", level=1).inner_text() == evil
    assert (len(requests), complaints) == (1, [])
    page.get_by_label("__proto__").fill("x")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the file").click()
    kept = json.loads(Path(download.value.path()).read_text())
    assert kept["data"] == {"__proto__": "x"}
    assert saved.unpack(kept, asked) == {"__proto__": "x"}
