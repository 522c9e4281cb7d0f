"""How deep a document may be: counted outside strings, before any parser that recurses."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectives.terms.canonical import MAX_DEPTH, check_depth, parse_json
from collectives.terms.errors import TermsError


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"a":'])
def test_what_is_too_deep_is_refused_before_it_is_parsed(opening: str) -> None:
    with pytest.raises(TermsError) as refused:
        parse_json(opening * 10_000)
    assert refused.value.code == "too_deep"


def test_the_deepest_allowed_passes() -> None:
    assert depth(parse_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)) == MAX_DEPTH
    with pytest.raises(TermsError, match="nested more than 32"):
        parse_json("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


def test_brackets_in_strings_do_not_count() -> None:
    text = json.dumps({"a": "[" * 1000, "b": '"[' * 100, "c": "\\" + "{" * 100})
    assert parse_json(text) == json.loads(text)


def test_many_lists_beside_each_other_are_not_deep() -> None:
    check_depth("[" + "[]," * 1000 + "[]]")


@given(st.recursive(st.text() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_it_counts_what_the_parser_finds(value: object) -> None:
    wrapped: object = value
    for _ in range(MAX_DEPTH - depth(value)):
        wrapped = [wrapped]
    if depth(value) <= MAX_DEPTH:
        check_depth(json.dumps(wrapped))
        check_depth(json.dumps(wrapped, ensure_ascii=False).encode("utf-8", "surrogatepass"))
        with pytest.raises(TermsError):
            check_depth(json.dumps([wrapped]))


@pytest.mark.parametrize("text", ['\\"' * 500_000, '"' * 1_000_001, "[]" * 500_000, "\\" * 1_000_000])
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    check_depth("[" * MAX_DEPTH + '"' + text)
    assert time.process_time() - began < 3
