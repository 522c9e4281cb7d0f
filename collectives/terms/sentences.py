"""Sentences that keep what they are made of, so that a door with a language of its own can say them in that language.

The core knows no translation. It writes an English pattern with named blanks and what stands in them; as text, a `Sentence` is
English. Who shows it to a person translates `pattern`, puts in `values`, and does the same with every value that is itself a
`Sentence` (a part of the wording, as against what somebody wrote).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, Self


class Sentence(str):
    """`Sentence("%(name)s lacks %(number)s values.", name="age", number=3)`; whole numbers are grouped."""

    __slots__ = ("pattern", "values")
    pattern: str
    values: Mapping[str, Any]

    def __new__(cls, pattern: str, /, **values: Any) -> Self:
        shown = {name: f"{v:,}" if type(v) is int else v for name, v in values.items()}
        made = super().__new__(cls, pattern % shown if values else pattern)
        made.pattern, made.values = pattern, values
        return made


def joined(by: str, parts: Sequence[str]) -> Sentence:
    """At least one text, with `by` between them; those that are sentences stay sentences."""
    alone, between = "%(text)s", f"%(one)s{by}%(other)s"
    first, *others = (Sentence(alone, text=part) for part in parts)
    return reduce(lambda one, other: Sentence(between, one=one, other=other), others, first)
