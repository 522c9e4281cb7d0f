"""The data requirement profile: what it can say, what it refuses, and that people can read its messages."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectives.terms.errors import TermsError
from collectives.terms.profile import FEATURE_WORDS, WORDS
from collectives.terms.requirements import check_profile, requirement_hash, validate
from collectives.training.features import input_width
from marketplace.demo.job_performance import job_performance
from marketplace.demo.job_performance import requirement as seed_requirement

ISSUER = "did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH"


@pytest.fixture(scope="module")
def person() -> dict[str, Any]:
    return job_performance(people=10).train[0]


def test_the_seeds_example_is_expressible_and_its_people_meet_it() -> None:
    check_profile(seed_requirement())
    assert all(validate(seed_requirement(), record) == [] for record in job_performance(people=50).train)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.pop("job_title"), "job_title is missing"),
        (lambda r: r.update(skills=r["skills"][:3]), "skills: 3 of at least 5"),
        (lambda r: r["skills"][0].update(measurements=[]), "skills, entry 1, measurements: 0 of at least 1"),
        (
            lambda r: r["skills"][1].update(name=r["skills"][0]["name"]),
            "skills: two entries have the same name",
        ),
        (lambda r: r.update(preferences=r["preferences"][:4]), "preferences: 4 of at least 5"),
        (lambda r: r.update(manager_evaluation=11), "manager_evaluation: must be at most 10"),
        (lambda r: r.update(peer_review=7.5), "peer_review: must be a whole number"),
        (lambda r: r.update(job_title="astronaut"), "job_title: is not one of the listed values"),
        (lambda r: r.update(shoe_size=43), "shoe_size is not asked for"),
        (
            lambda r: r["characteristics"].append(r["characteristics"][0]),
            "characteristics: holds the same item twice",
        ),
    ],
)
def test_what_is_missing_is_said_in_words(person: dict[str, Any], change: Any, message: str) -> None:
    record = copy.deepcopy(person)
    change(record)

    assert message in [str(problem) for problem in validate(seed_requirement(), record)]


def test_messages_never_repeat_a_value(person: dict[str, Any]) -> None:
    record = copy.deepcopy(person) | {"job_title": "my secret diagnosis", "peer_review": "very private"}

    said = " ".join(str(problem) for problem in validate(seed_requirement(), record))

    assert "secret" not in said
    assert "private" not in said


BAD: list[Any] = [
    None,
    [],
    {"type": "array"},
    {"type": "object", "properties": {}, "additionalProperties": False},
    {"type": "object", "properties": {"a": {"type": "string"}}},
    {
        "type": "object",
        "properties": {"a": {"type": "string", "pattern": "x"}},
        "additionalProperties": False,
    },
    {"type": "object", "properties": {"a": {"$ref": "#"}}, "additionalProperties": False},
    {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": False},
    {"type": "object", "properties": {"a": {"type": "string", "enum": []}}, "additionalProperties": False},
    {
        "type": "object",
        "properties": {"a": {"type": "string", "enum": ["x", "x"]}},
        "additionalProperties": False,
    },
    {
        "type": "object",
        "properties": {"a": {"type": "number", "minimum": 2, "maximum": 1}},
        "additionalProperties": False,
    },
    {"type": "object", "properties": {"a": {"type": "array"}}, "additionalProperties": False},
    {
        "type": "object",
        "properties": {"a": {"type": "number"}},
        "required": ["b"],
        "additionalProperties": False,
    },
    {
        "type": "object",
        "properties": {"a": {"type": "number", "x-feature": {"encode": "python"}}},
        "additionalProperties": False,
    },
    {
        "type": "object",
        "properties": {"a": {"type": "number", "x-feature": {"encode": "number", "bins": [2, 1]}}},
        "additionalProperties": False,
    },
    {
        "type": "object",
        "properties": {"a": {"type": "string", "x-assurance": "sworn"}},
        "additionalProperties": False,
    },
]


def _one(**child: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": child}, "required": ["a"], "additionalProperties": False}


def _number(**feature: Any) -> dict[str, Any]:
    return _one(type="number", minimum=0, maximum=1, **{"x-feature": {"encode": "number"} | feature})


_NAMED = {"type": "object", "properties": {"n": {"type": "string"}}, "additionalProperties": False}
BAD += [
    # what a JSON Schema library would choke on later
    _one(type="array", items={"type": "string"}, uniqueItems="yes"),
    _one(type="array", items={"type": "string"}, minItems=3, maxItems=1),
    _one(type="string", title=5),
    _one(type="string", description=[]),
    _one(type="string", enum=[1, 2]),
    _one(type="string", const=5),
    _one(type="number", minimum=-1e308, maximum=1e308),
    _one(type="string") | {"required": ["a", "a"]},
    _one(type="string") | {"required": [["a"]]},
    _one(type="string", **{"x-issuers": 5}),
    _one(type="string", **{"x-assurance": "attested"}),  # by whom?
    _one(type="string", **{"x-issuers": [ISSUER]}),  # what for?
    _one(type="string", **{"x-assurance": "attested", "x-issuers": ["https://employer.example"]}),
    _one(type="string", **{"x-assurance": "attested", "x-issuers": [ISSUER, ISSUER]}),
    _one(type="string") | {"x-assurance": "attested", "x-issuers": [ISSUER]},
    _one(type="array", items={"type": "string", "x-assurance": "attested", "x-issuers": [ISSUER]}),
    _one(type="array", items={"type": "string"}, **{"x-unique-by": "n"}),
    _one(type="array", items=_NAMED, **{"x-unique-by": ["n"]}),
    {**_NAMED, "properties": {"": {"type": "string"}}},
    # what an encoder would choke on later
    _one(type="number", **{"x-feature": {"encode": "number"}}),
    _one(type="string", minimum=0, maximum=1, **{"x-feature": {"encode": "number"}}),
    _number(transform="sqrt"),
    _number(bins=["a", "b"]),
    _one(type="number", minimum=-1, maximum=1, **{"x-feature": {"encode": "number", "transform": "log1p"}}),
    _one(type="string", **{"x-feature": {"encode": "one-hot"}}),
    _one(type="string", enum=["x"], **{"x-feature": {"encode": "one-hot", "unlisted_to": "z"}}),
    _one(type="array", items={"type": "string"}, **{"x-feature": {"encode": "multi-hot"}}),
    _one(type="string", enum=["x"], **{"x-feature": {"encode": "multi-hot"}}),
    _one(type="string", **{"x-feature": {"encode": "boolean"}}),
    _one(type="array", items=_NAMED, **{"x-feature": {"encode": "mean-of-measurements"}}),
    _number(code="import os"),
]


@pytest.mark.parametrize("requirement", BAD)
def test_what_the_profile_does_not_know_is_refused(requirement: Any) -> None:
    with pytest.raises(TermsError) as raised:
        check_profile(requirement)
    assert raised.value.code == "bad_requirement"


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["string", "array", "object", "number", "one-hot", "a"]),
    lambda x: (
        st.lists(x, max_size=3)
        | st.dictionaries(st.sampled_from([*sorted(WORDS), *sorted(FEATURE_WORDS), "a"]), x, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(sorted(WORDS)), _JSON, max_size=5))
def test_a_field_is_refused_by_name_or_can_be_used(child: dict[str, Any]) -> None:
    requirement = _one(**{"type": "string"} | child)
    try:
        check_profile(requirement)
    except TermsError as error:
        assert error.code == "bad_requirement"
        return
    assert validate(requirement, {}) != []
    if child.get("x-feature", {}).get("encode", "none") != "none":
        assert input_width(requirement, ["a"]) >= 1


@pytest.mark.parametrize("value", [b"x", {1: 2}, {"skills": {1}}, {"job_title": "\ud800"}])
def test_a_record_that_is_not_json_is_a_problem_and_no_crash(value: Any) -> None:
    assert [str(p) for p in validate(seed_requirement(), value)] == [
        "The record holds something that JSON cannot carry."
    ]


@pytest.mark.parametrize("assurance", ["attested", "unlinkable"])
def test_a_field_may_ask_for_an_issuers_word(assurance: str) -> None:
    check_profile(_one(type="string", **{"x-assurance": assurance, "x-issuers": [ISSUER]}))


def test_nesting_beyond_the_limit_is_refused() -> None:
    node: dict[str, Any] = {"type": "string"}
    for _ in range(5):
        node = {"type": "array", "items": node}

    with pytest.raises(TermsError, match="nested deeper"):
        check_profile({"type": "object", "properties": {"a": node}, "additionalProperties": False})


def test_the_id_depends_on_content_and_not_on_order(requirement: dict[str, Any]) -> None:
    reordered = dict(reversed(list(requirement.items())))

    assert requirement_hash(reordered) == requirement_hash(requirement)
    assert requirement_hash(requirement | {"title": "x"}) != requirement_hash(requirement)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
        lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(), x, max_size=3),
    )
)
def test_any_value_is_judged_without_an_exception(value: Any) -> None:
    assert validate(seed_requirement(), value)
