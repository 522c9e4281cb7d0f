"""Amounts, periods, requirements and charts in words and lines: exact, and readable."""

from __future__ import annotations

import pytest

from marketplace.templatetags.charts import line_chart, nice_ticks
from marketplace.templatetags.pages import count, period, short_hash, tokens
from marketplace.templatetags.terms import requirement_rows, terms_diff


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (5 * 10**15, "0.005"),
        (10**18, "1"),
        (1, "0.000000000000000001"),
        (1234567 * 10**18, "1,234,567"),
        (0, "0"),
    ],
)
def test_amounts_are_exact(amount: int, text: str) -> None:
    assert tokens(amount) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(14 * 86400, "14 days"), (86400, "1 day"), (90, "90 seconds"), (0, "0 seconds")]
)
def test_periods_use_the_largest_unit_that_fits(seconds: int, text: str) -> None:
    assert period(seconds) == text


def test_missing_numbers_are_a_dash() -> None:
    assert (tokens(None), count(None), short_hash("ab" * 32)) == ("–", "–", "abababababab…")


@pytest.mark.parametrize(
    ("spec", "kind", "values"),
    [
        ({"type": "integer", "minimum": 0, "maximum": 10}, "whole number", "0 to 10"),
        ({"type": "number", "minimum": 0}, "number", "at least 0"),
        ({"type": "string", "enum": ["a", "b"]}, "choice", "a, b"),
        ({"type": "string", "enum": list("abcdefgh")}, "choice", "a, b, c, d, e, f and 2 more"),
        ({"type": "boolean"}, "yes or no", "any"),
        (
            {"type": "array", "minItems": 5, "items": {"type": "string", "enum": ["x", "y"]}},
            "list of choice",
            "at least 5 entries; x, y",
        ),
        (
            {"type": "array", "minItems": 3, "maxItems": 3, "items": {"type": "number"}},
            "list of number",
            "exactly 3 entries",
        ),
    ],
)
def test_fields_are_described_in_words(spec: dict, kind: str, values: str) -> None:
    row = requirement_rows({"properties": {"f": spec}})[0]
    assert (row.kind, row.values, row.needed) == (kind, values, False)


def test_a_difference_names_only_what_differs() -> None:
    before = {
        "rate": "5000000000000000",
        "token": "OCEAN",
        "notice_seconds": 86400,
        "requirement": {"properties": {}},
    }
    after = before | {"notice_seconds": 172800, "requirement": {"properties": {"age": {"type": "integer"}}}}
    rows = {str(row.label): (row.before, row.after) for row in terms_diff(before, after)}
    assert rows == {
        "Notice period": ("1 day", "2 days"),
        "Data: Age": ("", "whole number: any (if you have it)"),
    }
    assert terms_diff(before, before) == []


@pytest.mark.parametrize(("low", "high"), [(0.71, 0.97), (0, 0), (-3, 12_000), (0.9599, 0.96)])
def test_ticks_are_round_and_hold_the_values(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low and ticks[-1] >= high
    assert 2 <= len(ticks) <= 9
    assert len(set(ticks)) == len(ticks)


def test_a_chart_has_its_table_and_leaves_gaps_out() -> None:
    chart = {"labels": [1, 2, 3], "series": [{"name": "AUC", "values": [0.8, None, 0.9]}]}
    drawn = line_chart(chart, "t", "x")
    assert drawn["lines"][0]["points"].count(",") == 2
    assert drawn["rows"][1] == {"label": 2, "values": [None]}
    assert line_chart({"labels": [], "series": []}, "t", "x")["empty"]
