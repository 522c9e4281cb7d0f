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


def loads(text: str | bytes) -> Any:
    """The value; ValueError (json.JSONDecodeError for syntax) for anything that is not plain JSON of sane depth."""
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    level = 0
    for token in _TOKENS.finditer(text):
        first = token[0][0]
        level += first in "[{"
        level -= first in "]}"
        if level > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")
