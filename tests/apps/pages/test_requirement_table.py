"""A requirement from a table and back without loss, and through a file: nobody must type JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from collectives import requirement_table as table
from collectives.terms.requirements import check_profile
from marketplace.demo import job_performance
from tests.apps import cast
from tests.apps.cast import World

ISSUER = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
WORDS = st.text("abcdefgh ,", min_size=1, max_size=8).map(str.strip).filter(bool)
LISTS = st.lists(WORDS, min_size=2, max_size=5, unique=True)


@st.composite
def rows(draw: Any) -> dict[str, Any]:
    kind = draw(st.sampled_from(sorted(table.FEATURES)))
    low, span = draw(st.integers(-100, 100)), draw(st.integers(0, 50))
    fewest = draw(st.none() | st.integers(0, 3))
    attested = draw(st.booleans())
    listed = draw(LISTS)
    return {
        "name": draw(st.text("abcxyz", min_size=1, max_size=6)),
        "title": draw(st.sampled_from(["", "What people read"])),
        "kind": kind,
        "values": "\n".join(listed) + "\n" if kind in table.LISTED else "",
        "low": float(low) if kind in table.RANGED else None,
        "high": float(low + span) if kind in table.RANGED else None,
        "fewest": fewest if kind in table.COUNTED else None,
        "most": draw(st.none() | st.integers(3, 9)) if kind in table.COUNTED else None,
        "assurance": "attested" if attested else "declared",
        "issuers": ISSUER if attested else "",
        "needed": draw(st.booleans()),
    }


@given(st.lists(rows(), min_size=1, max_size=4, unique_by=lambda row: row["name"]))
def test_every_table_is_a_good_requirement_and_comes_back_the_same(given_rows: list[dict[str, Any]]) -> None:
    requirement = table.build(given_rows)
    check_profile(requirement)
    again = table.rows_of(requirement)
    assert again is not None
    assert table.build(again) == requirement


def test_the_seeds_own_example_fits_into_the_table_but_for_order_of_words() -> None:
    requirement = job_performance.requirement()
    found = table.rows_of(requirement)
    assert found is not None
    assert {row["name"]: row["kind"] for row in found}["skills"] == "measured"
    assert table.build(found)["properties"] == requirement["properties"]


@pytest.mark.parametrize(
    "change",
    [
        {"description": "More words."},
        {"x-feature": {"encode": "number", "transform": "log1p"}},
        {"type": "object", "properties": {}},
        {"enum": [1, 2]},
    ],
)
def test_what_a_table_would_lose_stays_json(change: dict[str, Any]) -> None:
    field = {"type": "number", "minimum": 0, "maximum": 9, "x-feature": {"encode": "number"}} | change
    assert table.rows_of({"properties": {"a": field}}) is None


BASE = {
    "name": "New question",
    "purpose": "Learn something.",
    "task_description": "In more words.",
    "source": "table",
    "rate": str(cast.RATE),
    "silence": "without",
    "bucket_min": "38",
    "release_min": "100",
    "assurance": "declared",
    "order_policy": "open",
    "field-TOTAL_FORMS": "1",
    "field-INITIAL_FORMS": "0",
    "field-0-name": "skills",
    "field-0-kind": "measured",
    "field-0-values": "writing, counting",
    "field-0-low": "0",
    "field-0-high": "10",
    "field-0-fewest": "1",
    "field-0-needed": "on",
}


def send(world: World, **changes: Any) -> Any:
    from django.conf import settings

    values = BASE | {"notice_seconds": str(settings.NOTICE_MIN_SECONDS)} | changes
    return world.client("alice").post(reverse("collective-register"), values)


def test_skills_with_marks_are_registered_without_json(world: World) -> None:
    assert send(world).status_code == 302
    made = cast.Collective.objects.get(name="New question").terms.get().document["requirement"]
    assert made["properties"]["skills"]["items"]["properties"]["name"]["enum"] == ["writing", "counting"]
    assert made["properties"]["skills"]["minItems"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"field-0-values": " , "}, "List the choices"),
        ({"field-0-high": ""}, "Say the least and the most"),
        ({"field-0-fewest": "5", "field-0-most": "2"}, "The most (2) is below the least (5)."),
        ({"field-0-assurance": "attested"}, "Name at least one issuer"),
        ({"field-0-assurance": "attested", "field-0-issuers": "somebody"}, "did:key"),
    ],
)
def test_a_line_that_cannot_be_says_what_to_do(world: World, changes: dict[str, str], message: str) -> None:
    answer = send(world, **changes)
    assert answer.status_code == 422
    assert message in answer.content.decode()


def test_the_schema_is_saved_to_a_file_and_taken_from_it(world: World) -> None:
    saved = send(world, action="export")
    assert saved["Content-Disposition"] == 'attachment; filename="data-requirement.json"'
    file = SimpleUploadedFile("r.json", saved.content)
    page = send(world, action="import", schema_file=file, **{"field-0-name": ""}).content.decode()
    assert 'value="skills"' in page
    assert "writing, counting" in page
    assert 'value="New question"' in page
    assert not cast.Collective.objects.filter(name="New question").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"{", "is not JSON"),
        (b"\xff", "not UTF-8"),
        (b'{"type": "string"}', "object"),
        (b"[" * 999, "nested more than 32 deep"),
    ],
)
def test_a_file_that_cannot_be_says_what_to_do(world: World, content: bytes, message: str) -> None:
    answer = send(world, action="import", schema_file=SimpleUploadedFile("r.json", content))
    assert answer.status_code == 422
    assert message in answer.content.decode()


def test_a_schema_no_table_can_hold_is_shown_as_json(world: World) -> None:
    schema = json.loads(json.dumps(cast.REQUIREMENT))
    schema["properties"]["age"]["description"] = "At the last birthday."
    file = SimpleUploadedFile("r.json", json.dumps(schema).encode())
    page = send(world, action="import", schema_file=file).content.decode()
    assert "At the last birthday." in page
    chosen = re.search(r'<input[^>]*name="source"[^>]*value="json"[^>]*>', page)
    assert chosen is not None
    assert "checked" in chosen.group()
