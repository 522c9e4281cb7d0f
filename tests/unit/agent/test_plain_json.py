"""JSON from outside is bounded before a parser that recurses in C sees it."""

from __future__ import annotations

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallets.agent import plain_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


@given(value=JSON)
def test_plain_json_reads_as_the_standard_parser_does(value: object) -> None:
    assert plain_json.loads(json.dumps(value)) == value
    assert plain_json.loads(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"a":' * 200_000,
        "[" * 65 + "]" * 65,
        '["\\"[",' + "[" * 70,
        "NaN",
        "[Infinity]",
        "",
        b"\xff",
        '"',
    ],
)
def test_depth_and_what_is_not_json_raise_whatever_the_recursion_limit(text: str | bytes) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    try:
        with pytest.raises(ValueError):
            plain_json.loads(text)
    finally:
        sys.setrecursionlimit(limit)


def test_brackets_in_text_are_no_depth() -> None:
    assert plain_json.loads(json.dumps(["[" * 1000, '\\"[{' * 100])) == ["[" * 1000, '\\"[{' * 100]
    assert plain_json.loads("[" * 64 + "]" * 64) is not None
