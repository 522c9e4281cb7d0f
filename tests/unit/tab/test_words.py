"""The wallet's pages are German for who reads German: every text of their scripts, and every sentence a wallet says by itself."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from collectives.terms.requirements import _KINDS, _SENTENCES
from tests.unit.tab.node import Script
from wallets.agent.refusals import Refusal

ROOT = Path(__file__).parents[3]
AGENT, TAB = ROOT / "wallets" / "agent" / "web", ROOT / "static" / "wallet" / "page"
NOT_PAGES = {"qrcode.js", "qrdecode.js", "words.js"}
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


async def test_every_refusal_and_every_problem_of_a_record(words: Script) -> None:
    problems = [
        text.pattern % {"property": "age", "limit": 3, "size": 2, "unexpected": "pets"}
        for text in _SENTENCES.values()
    ]
    for where in ("agent", "tab"):
        english = [*(refusal.sentence for refusal in Refusal), *_KINDS.values(), *problems]
        said = await german(words, where, english)
        assert [text for text, answer in zip(english, said, strict=True) if text == answer] == []


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
