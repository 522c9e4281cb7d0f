"""What did each trust domain see? Answered by looking, not by claiming.

The demo knows what it planted: canary texts and records inside wallets, the wallets' pseudonyms, e-mail addresses,
payout addresses. This module searches every database (table by table and the raw file, so that erased rows which
still lie in free pages count too), the broker's file, the chain's file, logs and mail for all of them at once, and
compares what it finds with `ALLOWED`, the who-knows-what table of docs/threat-model.md.

The search is one pass per place for thousands of needles: eight bytes of every needle, those it shares with the fewest
others, are looked up as 64-bit words at all eight alignments, and each hit is confirmed by a full comparison.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from marketplace.demo.who_knows import ALLOWED, Fact

_WORD = 8
_WINDOWS = 64
"""So many places in a needle are tried for its most telling eight bytes."""


@dataclass(frozen=True, kw_only=True)
class Needle:
    """One planted thing: `form` is the byte string to look for (at least 8 bytes), `owner` the wallet's number."""

    fact: Fact
    owner: int
    form: bytes

    def __post_init__(self) -> None:
        if len(self.form) < _WORD:
            raise ValueError(f"a needle needs at least {_WORD} bytes to be told from chance")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Somewhere things can be found: `domain` holds it, `name` says where (`table:x`, `file:y`)."""

    domain: str
    name: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Finding:
    fact: Fact
    domain: str
    place: str
    hits: int
    owners: frozenset[int] = field(repr=False)
    """The numbers of the wallets whose fact it is."""
    allowed: bool


def scan(places: Iterable[Place], needles: Sequence[Needle]) -> list[Finding]:
    """Every (fact, place) in which at least one needle was found, with whether it may be there."""
    index = _Index(needles)
    findings: list[Finding] = []
    for place in places:
        hits: Counter[Fact] = Counter()
        owners: dict[Fact, set[int]] = {}
        for needle in index.search(place.data):
            hits[needle.fact] += 1
            owners.setdefault(needle.fact, set()).add(needle.owner)
        findings += [
            Finding(
                fact=fact,
                domain=place.domain,
                place=place.name,
                hits=count,
                owners=frozenset(owners[fact]),
                allowed=ALLOWED.permits(fact, place.domain, place.name),
            )
            for fact, count in hits.items()
        ]
    return findings


class _Index:
    def __init__(self, needles: Sequence[Needle]) -> None:
        # People's e-mail addresses and records begin alike; by those bytes every hit would have to be compared with everybody.
        common = Counter(word for needle in needles for word, _ in _windows(needle.form))
        self._by_word: dict[int, list[tuple[int, Needle]]] = {}
        for needle in needles:
            word, at = min(_windows(needle.form), key=lambda window: common[window[0]])
            self._by_word.setdefault(word, []).append((at, needle))
        self._words = np.array(sorted(self._by_word), dtype=np.uint64)
        # Which low 16 bits occur at all: most words of a place are sorted out by this one look-up.
        self._low = np.zeros(1 << 16, dtype=bool)
        self._low[(self._words & np.uint64(0xFFFF)).astype(np.intp)] = True

    def search(self, data: bytes) -> Iterator[Needle]:
        for offset in self._candidates(data):
            word = int.from_bytes(data[offset : offset + _WORD], "little")
            for at, needle in self._by_word[word]:
                if offset >= at and data.startswith(needle.form, offset - at):
                    yield needle

    def _candidates(self, data: bytes) -> Iterator[int]:
        if self._words.size == 0:
            return
        for shift in range(_WORD):
            count = (len(data) - shift) // _WORD
            if count <= 0:
                continue
            words = np.frombuffer(data, dtype="<u8", count=count, offset=shift)
            low = np.frombuffer(data, dtype="<u2", count=count * 4, offset=shift)[::4]
            likely = np.flatnonzero(self._low[low])
            place = np.searchsorted(self._words, words[likely])
            place[place == self._words.size] = 0
            for hit in likely[self._words[place] == words[likely]]:
                yield shift + int(hit) * _WORD


def _windows(form: bytes) -> list[tuple[int, int]]:
    """(eight bytes as a word, where they begin) at the first places of a needle."""
    last = min(len(form) - _WORD, _WINDOWS - 1)
    return [(int.from_bytes(form[at : at + _WORD], "little"), at) for at in range(last + 1)]


def database_places(domain: str, path: Path) -> Iterator[Place]:
    """Each table of a SQLite file, then the file itself (free pages and write-ahead log included)."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        names = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
        for name in names:
            rows = connection.execute(f'select * from "{name}"')  # noqa: S608 - names come from the file itself
            yield Place(domain=domain, name=f"table:{name}", data=b"\n".join(_cells(rows)))
    finally:
        connection.close()
    for file in (path, path.with_name(path.name + "-wal")):
        if file.exists():
            yield Place(domain=domain, name=f"file:{file.name}", data=file.read_bytes())


def _cells(rows: Iterable[tuple[object, ...]]) -> Iterator[bytes]:
    for row in rows:
        for cell in row:
            if isinstance(cell, bytes):
                yield cell
            elif cell is not None:
                yield str(cell).encode()


def folder_places(domain: str, folder: Path, pattern: str = "**/*") -> Iterator[Place]:
    """Every file below a folder."""
    for file in sorted(folder.glob(pattern)):
        if file.is_file():
            yield Place(domain=domain, name=f"file:{file.name}", data=file.read_bytes())
