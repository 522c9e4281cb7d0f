"""Sentences that were kept as English text, known again by the patterns they were made from (ADR 0070)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from collectives.terms.sentences import Sentence

BLANK = re.compile(r"%\((\w+)\)s")
WHOLE, BROKEN = re.compile(r"-?\d{1,3}(,\d{3})*|-?\d+"), re.compile(r"-?\d+\.\d+")
DEPTH = 3


def expressions(patterns: Iterable[str]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Patterns with blanks as expressions. Those with the most fixed letters first, so that the narrowest one is meant."""
    made = []
    for pattern in sorted(patterns, key=lambda p: -len(BLANK.sub("", p))):
        if "%(" in pattern:
            parts = BLANK.split(pattern)
            body = "".join(
                f"(?P<{part}>.+?)" if place % 2 else re.escape(part) for place, part in enumerate(parts)
            )
            made.append((pattern, re.compile(body, re.S)))
    return tuple(made)


class Phrases:
    """`patterns` with named blanks; what stands in the blanks named in `inner` is looked up as well."""

    def __init__(self, patterns: Iterable[str], *, inner: Iterable[str] = ()) -> None:
        self._plain, self._inner = frozenset(patterns), frozenset(inner)
        self._expressions = expressions(self._plain)

    def sentence(self, text: str, depth: int = DEPTH) -> str:
        """The text as a `Sentence`, which `collectives.words.worded` says in the reader's language; unknown text stays what it is."""
        if text in self._plain:
            return Sentence(text)
        for pattern, expression in self._expressions if depth else ():
            found = expression.fullmatch(text)
            if found:
                values = {
                    name: self.sentence(value, depth - 1) if name in self._inner else number(value)
                    for name, value in found.groupdict().items()
                }
                return Sentence(pattern, **values)
        return text


def number(text: str) -> Any:
    """A number that a sentence holds, so that it is written as the reader writes numbers; other text as it is."""
    if WHOLE.fullmatch(text):
        return int(text.replace(",", ""))
    return Decimal(text) if BROKEN.fullmatch(text) else text
