"""The wallet's pages are German for who reads German: every text of their scripts, and every sentence a wallet says by itself."""

from __future__ import annotations

import ast
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from collectives.terms.requirements import _KINDS, _SENTENCES
from tests.unit.tab.node import Script
from wallets.agent.refusals import Refusal

ROOT = Path(__file__).parents[3]
AGENT, TAB = ROOT / "wallets" / "agent" / "web", ROOT / "static" / "wallet" / "page"
FORM = ROOT / "collectives" / "datatool"
NOT_PAGES = {"qrcode.js", "qrdecode.js", "words.js", "phrases.js"}
COMMENTS = re.compile(r"/\*.*?\*/|(?<![:\"'`])//[^\n]*", re.S)
# What is no text: names of classes and events, types, paths, and patterns between slashes.
CODE = re.compile(r"class: (?:\"[^\"]*\"|`[^`]*`)|from \"[^\"]*\"|import\(\"[^\"]*\"\)")
STRING = re.compile(r"\"((?:[^\"\\\n]|\\.)*)\"|`((?:[^`\\$\n]|\\.|\$\{[^{}`]*\})*)`")
BLANK = re.compile(r"\$\{[^{}]*\}")
WORDS = re.compile(r"^[A-Z][a-z]+( |$|[.:?!])|[a-z]{2,} [a-z]{2,}|[a-z]{3,}[.?!]$")
MARKS = re.compile(r"^(?:card|confirm|button|note|row|muted)\b")
SAME = {"Bearer 7", "Passphrase", "Code", "python -m wallets.agent restore browser-wallet.cssi-backup"}
"""No text, or the same in German."""
PARTS = {
    "7 7 newer than your last backup.",
    "7. You can save what is here and go on later.",
    "The servers were told.",
    "The servers could not be reached and will be told; the permit is gone already.",
    "The permit for 7 was deleted in 7 ms and its keys were erased. 7",
    " If a secret may have leaked, lock this wallet and run `rekey`.",
    "Backups made before still open with what was true then.7",
}
"""Parts of sentences that have German as a whole."""
FORM_PARTS = {
    *(", at least 7", ", at most 7", " of at least 7 characters", " of at most 7 characters"),
    *("a whole number7", "at least 7", "at most 7", "7 7 missing or wrong."),
}
"""The same in the form; `kinds` puts them together."""


@pytest.fixture
async def words() -> AsyncIterator[Script]:
    async with Script("words") as script:
        yield script


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """(file, text) of every text in the scripts of a folder; a 7 where something is filled in."""
    for path in sorted(folder.glob("*.js")):
        if path.name in NOT_PAGES or path.name.startswith("german"):
            continue
        source = CODE.sub("", COMMENTS.sub("", path.read_text(encoding="utf-8")))
        for plain, template in STRING.findall(source):
            text = BLANK.sub("7", plain or template).replace('\\"', '"')
            if WORDS.search(text) and not MARKS.match(text):
                yield path.name, text


async def german(words: Script, where: str, found: list[str]) -> list[str]:
    said: list[str] = await words.ask("told", where=where, texts=found, languages=["de-AT", "en"])
    return said


@pytest.mark.parametrize(("where", "folder"), [("agent", AGENT), ("tab", TAB)])
async def test_every_text_of_the_pages(words: Script, where: str, folder: Path) -> None:
    rows = [row for row in texts(folder) if row[1] not in SAME | PARTS]
    assert len(rows) > 80
    said = await german(words, where, [text for _, text in rows])
    missing = [row for row, answer in zip(rows, said, strict=True) if answer == row[1]]
    # A text that was added today may wait for its words; a page of them may not.
    assert len(missing) * 50 < len(rows), missing


@pytest.mark.parametrize("where", ["agent", "tab"])
async def test_every_text_of_the_form_and_of_the_data_tool(words: Script, where: str) -> None:
    page = re.sub(
        r"<(script|style|noscript)\b.*?</\1>|<!doctype.*?>",
        "",
        (FORM / "template.html").read_text("utf-8"),
        flags=re.S,
    )
    standing = [text.strip() for text in re.findall(r">([^<]+)<", page) if re.search(r"[a-z]", text)]
    assert len(standing) >= 8
    written = [text for _, text in texts(FORM) if text not in FORM_PARTS]
    rows = sorted({*standing, *written, *kinds()})
    said = await german(words, where, rows)
    assert [text for text, answer in zip(rows, said, strict=True) if answer == text] == []


def kinds() -> Iterator[str]:
    """What the form says of a field, put together as `form.js` does."""
    for kind in ("a whole number", "a number"):
        yield from (f"{kind}{limits}" for limits in ("", " from 1 to 5", ", at least 1", ", at most 5"))
    sizes = (" of 1 to 5 characters", " of at least 1 characters", " of at most 5 characters")
    yield from (f"text{size}" for size in sizes)
    amounts = ("exactly 1", "at least 1", "at most 1")
    yield from (f"{amount} entry" for amount in amounts)
    yield from (f"{amount} entries" for amount in (*amounts, "1 to 3"))
    yield from (f"choose {amount}" for amount in (*amounts, "1 to 3"))
    yield from (f"{number} missing or wrong." for number in ("1 thing is", "2 things are"))
    yield from ("choose…", "yes", "no", "(required)", "Skills, entry 2", "Remove Skills, entry 2", "entry 2")


async def test_every_refusal_and_every_problem_of_a_record(words: Script) -> None:
    problems = [
        text.pattern % {"property": "age", "limit": 3, "size": 2, "unexpected": "pets"}
        for text in _SENTENCES.values()
    ]
    for where in ("agent", "tab"):
        english = [*(refusal.sentence for refusal in Refusal), *_KINDS.values(), *problems]
        said = await german(words, where, english)
        assert [text for text, answer in zip(english, said, strict=True) if text == answer] == []


def of_a_visit() -> Iterator[str]:
    """What a visit may write into the journal, which the wallet's pages show."""
    for name in ("rounds.py", "round_line.py"):
        tree = ast.parse((ROOT / "wallets" / "agent" / name).read_text(encoding="utf-8"))
        about = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            text = node.value if isinstance(node, ast.Constant) and id(node) not in about else None
            if isinstance(text, str) and re.fullmatch(r"[A-Z].* .*\.", text):
                yield text


@pytest.mark.parametrize("where", ["agent", "tab"])
async def test_what_a_visit_writes_into_the_journal(words: Script, where: str) -> None:
    rows = sorted(set(of_a_visit()))
    assert "Your data was proven present; this visit is owed." in rows
    said = await german(words, where, rows)
    assert [text for text, answer in zip(rows, said, strict=True) if answer == text] == []


SAYING_NO = {
    "attestation/formats": {"AttestationError": 1},
    "attestation/desk": {"DeskError": 1},
    "collectives/services/presence.py": {"AttestationError": 1, "CollectiveError": 1},
    "marketplace/individuals/services": {"IndividualError": 1},
    "aggregation/server/services/exclusions.py": {"Conflict": 0, "Unknown": 0},
}
"""Where a wallet's request or credential is refused, and which argument of which error says it."""
OF_OTHERS = {
    "This desk's status list is full. Open another desk.",
    "A credential is valid for 1 to 7 days.",
    'Give the values as one object, for example {"peer_review": 7}.',
    "The requirement does not ask for 7.",
    "Another desk of yours waits for its keys. Try again in a minute.",
    "Send code, holder_key, created and signature as one JSON object.",
    "This belongs to another account.",
    "Revoke the subscription first; then the entry can be deleted.",
    "This was decided already.",
    "There is no such exclusion.",
}
"""What a desk's page, the market's page or an administrator is told, and no wallet."""


def refusals() -> Iterator[str]:
    for place, errors in SAYING_NO.items():
        for path in [ROOT / place] if place.endswith(".py") else sorted((ROOT / place).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                at = errors.get(getattr(node.func, "id", "")) if isinstance(node, ast.Call) else None
                if at is not None and len(node.args) > at:
                    yield from said_in(node.args[at])


def said_in(node: ast.expr) -> Iterator[str]:
    """Examples of a sentence; what is filled in becomes a 7."""
    match node:
        case ast.Constant(value=str(text)):
            yield re.sub(r"%\(\w+\)s", "7", text)
        case ast.JoinedStr(values=parts):
            yield "".join(part.value if isinstance(part, ast.Constant) else "7" for part in parts)
        case ast.IfExp(body=one, orelse=other):
            yield from (*said_in(one), *said_in(other))
        case ast.BinOp(left=left):
            yield from said_in(left)
        case ast.Call(args=[text]):
            yield from said_in(text)


@pytest.mark.parametrize("where", ["agent", "tab"])
async def test_what_servers_refuse_a_wallet_with(words: Script, where: str) -> None:
    rows = sorted(set(refusals()) - OF_OTHERS)
    assert len(rows) > 75
    said = await german(words, where, rows)
    assert [text for text, answer in zip(rows, said, strict=True) if answer == text] == []


async def test_what_is_filled_in_is_kept_and_said_too(words: Script) -> None:
    assert await german(
        words,
        "tab",
        [
            "Your wallet took part in round 3 of Sleep & Co., earned 0.005.",
            "New algorithms are announced 14 days ahead. You can refuse each one. If you stay silent, you continue without it.",
            "Your answer: Continue with it.",
            "Keep this tab open. ",
            "3 subscriptions are newer than your last backup. ",
            "2 things are missing, 1 is wrong. You can save what is here and go on later.",
        ],
    ) == [
        "Deine Wallet hat an Runde 3 von Sleep & Co. teilgenommen und 0.005 verdient.",
        "Neue Algorithmen werden 14 Tage vorher angekündigt. Du kannst jeden ablehnen. Wenn du nicht antwortest, machst du ohne ihn weiter.",
        "Deine Antwort: Damit weitermachen.",
        "Lass diesen Reiter offen. ",
        "3 Teilnahmen sind neuer als deine letzte Sicherung. ",
        "2 Angaben fehlen, 1 ist falsch. Du kannst speichern, was da ist, und später weitermachen.",
    ]


async def test_what_nobody_here_wrote_stays_and_english_stays_english(words: Script) -> None:
    for text in ("Ada Lovelace", "", "$& {0}", "Round trip to nowhere"):
        assert await german(words, "agent", [text]) == [text]
    assert await words.ask("told", where="agent", texts=["Lock"], languages=["en-GB", "de"]) == ["Lock"]
    assert await words.ask("told", where="agent", texts=["Lock"], languages=["fr", "de"]) == ["Sperren"]
