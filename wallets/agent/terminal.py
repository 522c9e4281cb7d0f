"""The command line's side of the conversation: secrets, questions, tables."""

from __future__ import annotations

import asyncio
import getpass
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from aggregation.wire.secret import Secret
from wallets.agent.consent import Question
from wallets.agent.errors import BadData

PASSPHRASE_VARIABLE = "WALLET_PASSPHRASE_FILE"  # noqa: S105 - the name of a variable, not a secret
SHORTEST_PASSPHRASE = 10


def passphrase(file: str | None, *, new: bool = False, prompt: str = "Passphrase: ") -> Secret:
    """The passphrase from a file, the file named by WALLET_PASSPHRASE_FILE, or a prompt (twice for a new one)."""
    name = file or os.environ.get(PASSPHRASE_VARIABLE)
    if name:
        text = _from_file(Path(name))
    elif sys.stdin.isatty():
        text = getpass.getpass(prompt)
        if new and getpass.getpass("The same again: ") != text:
            raise BadData("The two passphrases differ. Nothing was created.")
    else:
        raise BadData(
            f"No passphrase: run in a terminal, or give --passphrase-file, or set {PASSPHRASE_VARIABLE}."
        )
    if new and len(text) < SHORTEST_PASSPHRASE:
        raise BadData(f"The passphrase has {len(text)} characters; take at least {SHORTEST_PASSPHRASE}.")
    return Secret(text.encode())


def recovery_code(file: str | None) -> Secret:
    """The recovery code from a file or a prompt; separators and case do not matter."""
    if file:
        return Secret(_from_file(Path(file)).encode())
    if not sys.stdin.isatty():
        raise BadData("No recovery code: run in a terminal, or give --recovery-file.")
    return Secret(getpass.getpass("Recovery code: ").encode())


def line(prompt: str) -> str:
    """One line typed by the person; empty when nobody is there to type."""
    try:
        return input(prompt).strip()
    except EOFError:
        return ""


def somebody() -> bool:
    """Whether a person sits at this terminal."""
    return sys.stdin.isatty()


async def ask(question: Question) -> str:
    """Put a question and wait for one of its answers; an empty line is the first, which changes nothing."""
    return await asyncio.to_thread(_ask, question)


def show(lines: Sequence[Sequence[str]], header: Sequence[str]) -> None:
    """A plain table, columns as wide as they need."""
    rows = [list(header), *[[clean(cell) for cell in line] for line in lines]]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def when(moment: int) -> str:
    """Unix seconds as a readable UTC time."""
    try:
        return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "no end"  # a document may name a year no calendar has


def clean(text: str) -> str:
    """A server's text without control characters, which could repaint this terminal and fake a sentence of ours."""
    return "".join(character if character.isprintable() else "�" for character in text)


def present(question: Question) -> None:
    """Print what the holder is asked."""
    print(f"\n{clean(question.title)}")
    for sentence in question.sentences:
        print(f"  • {clean(sentence)}")


def _from_file(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise BadData(f"The passphrase file {path} cannot be read: {reason}.") from None
    if not text:
        raise BadData(f"The passphrase file {path} is empty.")
    return text


def _ask(question: Question) -> str:
    present(question)
    options = " / ".join(question.answers)
    while True:
        try:
            given = input(f"Answer ({options}): ").strip().lower()
        except EOFError:
            return question.answers[0]
        if not given:
            return question.answers[0]
        matching = [answer for answer in question.answers if answer.startswith(given)]
        if given in question.answers:
            return given
        if len(matching) == 1:
            return matching[0]
