"""Manifests: the closed vocabulary and its limits."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from collectives.terms.algorithm import (
    layout,
    manifest_hash,
    model_hash,
    natural_bound,
    output_length,
    parameter_count,
    parse_manifest,
    release_ratio,
)
from collectives.terms.errors import TermsError
from tests.vectors.algorithms import ANSWERS, EXAMPLES, NETS


def test_parameters_and_their_layout_follow_manifest_order(manifest: dict[str, Any]) -> None:
    parsed = parse_manifest(manifest)

    assert parameter_count(parsed) == 4 * 3 + 3 + 3 + 1
    assert layout(parsed) == ((0, 15), (15, 15), (15, 19))


def test_bytes_and_objects_parse_to_the_same_algorithm(manifest: dict[str, Any]) -> None:
    assert (
        parse_manifest(json.dumps(manifest).encode()).hash
        == parse_manifest(manifest).hash
        == manifest_hash(manifest)
    )


def embedding(*blocks: tuple[int, int, int]) -> dict[str, Any]:
    return {
        "op": "embedding",
        "blocks": [{"at": at, "columns": columns, "out": out} for at, columns, out in blocks],
    }


CHANGES = {
    "unknown field": lambda m: m.update(code="print(1)"),
    "unknown operator": lambda m: m["layers"].append({"op": "exec"}),
    "unknown parameter": lambda m: m["layers"][0].update(hook="x"),
    "too wide": lambda m: m["layers"][0].update(out=5000),
    "too many layers": lambda m: m.update(layers=[{"op": "relu"}] * 17),
    "widths disagree": lambda m: m.update(width_out=2),
    "gradient of several steps": lambda m: m["training"].update(steps=2),
    "too many steps": lambda m: (m["output"].update(kind="delta"), m["training"].update(steps=1001)),
    "unknown output": lambda m: m["output"].update(kind="activations"),
    "no clip": lambda m: m["output"].update(clip_micro=0),
    "input is target": lambda m: m.update(target=["age"]),
    "unknown loss": lambda m: m.update(loss="custom"),
    "version": lambda m: m.update(version=2),
    "float": lambda m: m["layers"][0].update(out=3.0),
    "boolean as number": lambda m: m["layers"][0].update(out=True),
    "no inputs": lambda m: m.update(inputs=[]),
    "too many parameters": lambda m: m.update(
        width_in=4096,
        layers=[{"op": "linear", "out": 4096, "bias": True}, {"op": "linear", "out": 1, "bias": True}],
    ),
    "no parameters": lambda m: m.update(width_out=4, layers=[{"op": "relu"}]),
    "frozen values beyond the limit": lambda m: (
        m["layers"].insert(0, {"op": "random", "out": 4096, "seed": "ab" * 32}) or m.update(width_in=4096)
    ),
    "gain of nothing": lambda m: m["layers"].insert(
        0, {"op": "random", "out": 4, "seed": "ab" * 32, "gain_micro": 0}
    ),
    "embedding behind a layer": lambda m: m["layers"].insert(1, embedding((0, 1, 1))),
    "blocks that overlap": lambda m: m["layers"].insert(0, embedding((0, 2, 1), (1, 2, 1))),
    "blocks beyond the columns": lambda m: m["layers"].insert(0, embedding((2, 3, 1))),
    "embedding without blocks": lambda m: m["layers"].insert(0, embedding()),
    "statistics behind a layer that learns": lambda m: (
        m.update(loss="mse", output={"kind": "elm-statistics", "clip_micro": 1, "ridge_micro": 0})
        or m.pop("training")
    ),
    "statistics of another loss": lambda m: (
        m.update(layers=m["layers"][2:], output={"kind": "elm-statistics", "clip_micro": 1, "ridge_micro": 0})
        or m.pop("training")
    ),
    "statistics that train": lambda m: m.update(
        loss="mse",
        layers=m["layers"][2:],
        output={"kind": "elm-statistics", "clip_micro": 1, "ridge_micro": 0},
    ),
    "a query with a model": lambda m: m.update(output={"kind": "mean", "clip_micro": 1}),
    "a gradient in bins": lambda m: m["output"].update(bins=4),
    "task of a stranger": lambda m: m.update(task={"height": {"scale": "linear"}}),
    "task of nothing": lambda m: m.update(task={"age": {}}),
    "task with code": lambda m: m.update(task={"age": {"scale": "x ** 2"}}),
    "task with an empty range": lambda m: m.update(task={"age": {"low_micro": 5, "high_micro": 5}}),
    "task with falling edges": lambda m: m.update(task={"age": {"bins_micro": [3, 2]}}),
    "task with a float": lambda m: m.update(task={"age": {"low_micro": 0.5}}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_outside_the_vocabulary_is_refused(manifest: dict[str, Any], name: str) -> None:
    changed = copy.deepcopy(manifest)
    CHANGES[name](changed)

    with pytest.raises(TermsError) as raised:
        parse_manifest(changed)
    assert raised.value.code == "bad_manifest"


@pytest.mark.parametrize("junk", [b"", b"\x80\x04]", "[]", "null", b"\xff\xfe", 7, None, []])
def test_junk_is_refused_by_name(junk: Any) -> None:
    with pytest.raises(TermsError):
        parse_manifest(junk)


LENGTHS = {
    "elm-statistics of a random layer": 6 * 7 // 2 + 6 * 2,
    "elm-statistics of the columns": 4 * 5 // 2 + 4,
    "evaluation of yes or no": 2 + 2 * 8,
    "evaluation of numbers": 4 * 2,
    "evaluation of classes": 2 + 3 * 3,
    "mean": 4,
    "histogram": 4 * 5,
    "covariance": 5 * 6 // 2,
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_length_of_an_answer_follows_from_the_manifest(name: str) -> None:
    parsed = parse_manifest(ANSWERS[name])

    assert output_length(parsed) == LENGTHS[name]
    fields = len(parsed.inputs) + len(parsed.target)
    assert release_ratio(parsed, 50) == pytest.approx(LENGTHS[name] / (50 * fields))


@pytest.mark.parametrize("name", NETS)
def test_a_trained_kind_answers_with_a_value_for_each_parameter(name: str) -> None:
    parsed = parse_manifest(NETS[name])

    assert output_length(parsed) == parameter_count(parsed) == layout(parsed)[-1][1]
    assert natural_bound(parsed) is None


def test_the_parameters_of_an_embedding_are_its_blocks_and_other_columns_pass() -> None:
    first = parse_manifest(EXAMPLES["embedding"]).layers[0]

    assert first.parameters == 2 * 3 + 1
    assert (first.width_in, first.width_out) == (4, 1 + 3 + 1)


def test_only_the_last_layer_of_statistics_has_parameters() -> None:
    parsed = parse_manifest(EXAMPLES["elm-statistics of a random layer"])

    assert parameter_count(parsed) == 5 * 2 + 2
    assert parsed.features == 6


def test_two_kinds_of_one_model_share_its_identity_and_another_model_does_not() -> None:
    one, other = NETS["sigmoid"], NETS["layer norm"]
    judged = {key: value for key, value in one.items() if key != "training"}
    judged["output"] = {"kind": "evaluation", "clip_micro": 1, "bins": 4}

    assert model_hash(parse_manifest(one)) == model_hash(parse_manifest(judged))
    assert model_hash(parse_manifest(one)) != model_hash(parse_manifest(other))
    assert manifest_hash(one) != manifest_hash(judged)


def test_the_parts_that_came_later_are_read() -> None:
    task = parse_manifest(EXAMPLES["a task"]).task
    random = parse_manifest(EXAMPLES["frozen random layer with a gain"]).layers[0]

    assert task["age"].scale == "log1p" and task["age"].bins_micro == (20_000_000,)
    assert task["ill"].combine == "maximum" and task["ill"].scale is None
    assert random.gain_micro == 2_000_000 and random.frozen == 5 * 5
