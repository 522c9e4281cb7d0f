"""An example of a record: it meets its requirement, whatever the requirement, and is shown as JSON and in words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from collectives import requirement_table as table
from collectives.example_record import example, label
from collectives.terms.requirements import validate
from marketplace.demo import job_performance
from marketplace.templatetags.records import example_record
from marketplace.templatetags.terms import requirement_rows
from tests.apps import cast
from tests.apps.cast import World
from tests.apps.pages.test_requirement_table import rows


@given(st.lists(rows(), min_size=1, max_size=4, unique_by=lambda row: row["name"]))
def test_the_example_meets_every_requirement_that_can_be_met(given_rows: list[dict[str, Any]]) -> None:
    requirement = table.build(given_rows)
    record = example(requirement)
    possible = all(
        (row["fewest"] or 0) <= len(table.choices(row["values"]))
        for row in given_rows
        if row["kind"] in table.COUNTED
    )
    if possible:
        assert record is not None
    assert record is None or validate(requirement, record) == []


def test_the_example_of_named_things_is_written_out() -> None:
    requirement = job_performance.requirement()
    found = example_record(requirement)
    assert found is not None
    assert validate(requirement, json.loads(found.text)) == []
    words = {line.label: line.text for line in found.lines}
    assert words["skills"].startswith("Name: programming, Measurements: 5 and 6.7; Name: statistics")


def _one(spec: dict[str, Any]) -> dict[str, Any]:
    properties = {"f": spec}
    return {"type": "object", "properties": properties, "required": ["f"], "additionalProperties": False}


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "integer", "minimum": 3, "maximum": 3},
        {"type": "number", "minimum": 0.001, "maximum": 0.0011},
        {"type": "number", "maximum": -7},
        {"type": "integer", "minimum": -1, "maximum": 0},
        {"type": "string", "minLength": 30, "maxLength": 31},
        {"type": "string", "maxLength": 3},
        {"type": "string", "const": "x"},
        {
            "type": "array",
            "minItems": 3,
            "uniqueItems": True,
            "items": {"type": "integer", "minimum": 0, "maximum": 2},
        },
        {"type": "array", "maxItems": 0, "items": {"type": "boolean"}},
    ],
)
def test_tight_limits_are_met(spec: dict[str, Any]) -> None:
    record = example(_one(spec))
    assert record is not None
    assert validate(_one(spec), record) == []


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "array", "minItems": 2**30, "items": {"type": "boolean"}},
        {"type": "string", "minLength": 2**30},
        {"type": "array", "minItems": 3, "uniqueItems": True, "items": {"type": "boolean"}},
    ],
)
def test_what_nobody_would_read_or_nobody_can_meet_has_no_example(spec: dict[str, Any]) -> None:
    assert example(_one(spec)) is None


def test_a_field_without_a_title_is_called_by_its_name_in_words() -> None:
    assert label("blood_pressure", {}) == "Blood pressure"
    assert label("blood_pressure", {"title": "Systolic"}) == "Systolic"


def test_the_card_says_fields_in_words_every_value_and_an_example(world: World) -> None:
    values = [f"kind {number}" for number in range(30)]
    requirement = cast.REQUIREMENT | {
        "properties": cast.REQUIREMENT["properties"]
        | {"sleep_kind": {"type": "string", "enum": values, "x-feature": {"encode": "one-hot"}}}
    }
    made = cast.register(world.people["alice"], "Kinds of sleep", requirement=requirement)
    text = world.client("").get(reverse("collective", args=[made.pk])).content.decode()
    assert "Sleep kind" in text
    assert "<code>sleep_kind</code>" in text
    assert "<summary>all 30 values</summary>" in text
    assert "kind 29" in text
    assert "An example record" in text
    assert "&quot;age&quot;: 64" in text
    assert "<dt>Age in years</dt><dd>64</dd>" in text


def test_entries_with_parts_say_what_each_part_may_be() -> None:
    row = next(found for found in requirement_rows(job_performance.requirement()) if found.name == "skills")
    assert row.kind == "list of entry with Name, Measurements"
    assert "Measurements: 1 to 20 entries; 0 to 10" in row.values
    assert len(row.listed) == len(job_performance.SKILLS)
