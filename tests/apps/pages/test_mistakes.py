"""Mistakes in the owner's form: each has a sentence of its own, with the line, the limit and the number given."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.urls import reverse

from collectives.field_rows import FieldRows
from marketplace.jobs.forms import LimitsStep, MetricForm
from tests.apps import cast
from tests.apps.cast import World

INNER = re.compile(
    r"release_min|bucket_min|order_policy|notice_seconds|permitted_manifests|x-\w+|minItems|enum\b"
)


def table(*rows: dict[str, str]) -> dict[str, str]:
    sent = {"field-TOTAL_FORMS": str(len(rows)), "field-INITIAL_FORMS": "0"}
    for number, row in enumerate(rows):
        sent |= {f"field-{number}-{name}": value for name, value in row.items()}
    return sent


def row(**changes: str) -> dict[str, str]:
    return {"name": "hours", "kind": "number", "low": "0", "high": "24", "needed": "on"} | changes


def problems(*rows: dict[str, str]) -> list[str]:
    rows_ = FieldRows(table(*rows), prefix="field")
    rows_.is_valid()
    return [f"{found['line']}, {found['label']}: {found['sentence']}" for found in rows_.problems()]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"high": "NaN"}, "1, Most: NaN is no number that can be used."),
        ({"high": "Infinity"}, "1, Most: Infinity is no number that can be used."),
        ({"low": "-1e400"}, "1, Least value: -1e400 is no number that can be used."),
        ({"high": "9" * 400}, "1, Most: 99999999999999999999999… is no number that can be used."),
        ({"high": "1e16"}, "1, Most: 1e+16 is too large: numbers here lie within ±1,000,000,000,000,000."),
        ({"high": "24 h"}, "1, Most: Write a number such as 12 or 0.5, with a point and without a unit."),
        ({"high": "-3"}, "1, Most: The most (-3) is below the least (0)."),
        (
            {"kind": "integer", "low": "0.5"},
            "1, Least value: A whole number has no places after the point; you wrote 0.5.",
        ),
        ({"kind": "several", "values": "a, b, a"}, "“a” stands twice in the list."),
        (
            {"kind": "choice", "values": ",".join(map(str, range(512)))},
            "You listed 512; a list has at most 500.",
        ),
        (
            {"kind": "several", "values": "a, b", "fewest": "3"},
            "1, At least how many: Nobody can choose 3 of 2 choices.",
        ),
        (
            {"kind": "several", "values": "a", "most": "1e400"},
            "1, At most how many: Write a whole number such as 38.",
        ),
        (
            {"kind": "several", "values": "a", "most": "5000"},
            "1, At most how many: At most 1000; you wrote 5000.",
        ),
        ({"assurance": "attested", "issuers": "did:web:x"}, "“did:web:x” is no issuer's identifier"),
    ],
)
def test_each_mistake_of_a_line_has_its_own_sentence(changes: dict[str, str], sentence: str) -> None:
    found = problems(row(**changes))
    assert len(found) == 1, found
    assert sentence in found[0]


def test_a_name_that_stands_twice_says_which_two_lines() -> None:
    assert problems(row(), row(name="age"), row()) == [
        "3, Short name: “hours” is the short name of field 1 already."
    ]


def test_too_many_lines_are_refused_and_not_cut_off() -> None:
    rows = [row(name=f"f{number}") for number in range(201)]
    assert problems(*rows) == [", : The table holds at most 200 fields; you sent more."]
    assert problems(*rows[:200]) == []


def send(world: World, **changes: Any) -> str:
    answer = world.client("alice").post(
        reverse("collective-register"), cast.registration() | table(row(), row(name="age", high="")) | changes
    )
    assert answer.status_code == 422
    return answer.content.decode()


def test_the_page_lists_every_mistake_with_a_link_to_its_line(world: World) -> None:
    text = send(world, bucket_min="300", release_min="7")
    assert '<a href="#id_field-1-high">Field 2, Most</a>: Say the least and the most' in text
    assert "At most 255; you wrote 300." in text
    assert "At least 100 wallets; you wrote 7." in text
    summary = re.sub(r"<[^>]+>", " ", text.split('class="errors"')[1].split("</div>")[0])
    assert "incomplete" not in summary
    assert not INNER.search(summary), summary


def test_limits_stand_beside_what_they_limit(world: World) -> None:
    text = world.client("alice").get(reverse("collective-register")).content.decode()
    for limit in ("at most 200", "at most 500 choices", "20 to 255.", "100 or more", "At most 64."):
        assert limit in text


@pytest.mark.parametrize("amount", ["NaN", "sNaN", "Infinity", "-Infinity", "1e400", "1e999999"])
def test_an_amount_that_is_no_amount_says_so_once(world: World, amount: str) -> None:
    url = reverse("collective", args=[world.collective.pk])
    text = world.client("").get(url, {"budget": amount}).content.decode()
    errors = re.findall(r'class="error"[^>]*>(.*?)</p>', text)
    assert len(errors) == 1
    assert "Write an amount such as 120 or 0.5" in errors[0] or "At most 1,000,000,000,000,000" in errors[0]


@pytest.mark.parametrize("value", ["NaN", "inf", "1e400", "one"])
def test_a_measurement_that_is_no_number_is_refused_in_words(value: str) -> None:
    form = MetricForm({"checkpoint": "0", "name": "accuracy", "value": value})
    assert not form.is_valid()
    (sentence,) = form.errors["value"]
    assert "rite a" in sentence
    assert "number" in sentence


def test_the_limits_of_an_order_say_the_number_given(world: World) -> None:
    from collectives import selectors

    card = selectors.card(world.collective.pk)
    assert card is not None
    values = {"algorithm": world.algorithm.manifest_hash, "budget": "100", "rounds": "0", "cohort": "200000"}
    form = LimitsStep(values, card=card)
    assert form.errors["rounds"] == ["At least 1; you wrote 0."]
    assert form.errors["cohort"] == ["At most 100000; you wrote 200000."]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width_in": 5000}, "width_in must be a whole number from 1 to 4096; it is 5000."),
        ({"layers": [{"op": "linear", "out": 9999, "bias": True}]}, "from 1 to 4096; it is 9999."),
        ({"training": {"learning_rate_micro": 1, "steps": 5000}}, "; it is 5000."),
    ],
)
def test_a_manifest_says_which_limit_it_exceeds(world: World, change: dict[str, Any], words: str) -> None:
    import json

    body = {"text": json.dumps(cast.MANIFEST | change)}
    answer = world.client("aron").post(reverse("algorithm-submit"), body)
    assert answer.status_code == 422
    assert words in answer.content.decode()
