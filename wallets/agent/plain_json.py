"""JSON from outside: bounded depth before the parser sees it.

CPython's parser recurses in C and relies on the interpreter's recursion limit. Libraries raise that limit (an EVM in the same
process does), and then a file of opening brackets ends the process instead of raising.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_DEPTH = 64
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)


def loads(text: str | bytes, *, names_once: bool = False) -> Any:
    """The value; ValueError (json.JSONDecodeError for syntax) for anything that is not plain JSON of sane depth.

    `names_once`: refuse an object that names a field twice, where a person must not lose one of the two values silently.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    level = 0
    for token in _TOKENS.finditer(text):
        first = token[0][0]
        level += first in "[{"
        level -= first in "]}"
        if level > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    pairs = _each_name_once if names_once else None
    return json.loads(text, parse_constant=_no_constant, object_pairs_hook=pairs)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice} is named twice")
    return found
