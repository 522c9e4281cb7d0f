"""Vectors of the feature encoders: requirement, record, the columns they give, and the requirement's id.

`tests.vectors.generate` writes them to features.json. One case per encoding and per edge of it, so that another runtime (a wallet
in a browser) can be held to the same numbers; columns are float32 written exactly.
"""

from __future__ import annotations

from typing import Any

from collectives.terms.algorithm import COMBINES, parse_manifest
from collectives.terms.requirements import check_profile, requirement_hash, validate
from collectives.training.features import Encoder, input_width, target_width
from marketplace.demo import job_performance


def feature_vectors() -> dict[str, Any]:
    return {"cases": [*_small_cases(), _seeds_example()], "tasks": _tasks()}


def _tasks() -> list[dict[str, Any]]:
    """What an algorithm's own task makes of the same fields."""
    age = {"type": "integer", "minimum": 18, "maximum": 98, "x-feature": {"encode": "number"}}
    ranged = {"low_micro": 20_000_000, "high_micro": 60_000_000, "bins_micro": [30_000_000, 50_000_000]}
    rows = [
        ("a range and bins", {"x": age}, {"x": ranged}, {"x": 40}),
        ("beyond the range", {"x": age}, {"x": ranged}, {"x": 75}),
        ("log1p", {"x": age}, {"x": {"scale": "log1p", "low_micro": 0}}, {"x": 58}),
    ]
    for combine in COMBINES:
        rows.append(
            (f"measurements, {combine}", {"x": _skills()}, {"x": {"combine": combine}}, {"x": _several()})
        )
    return [_case(name, fields, ["x"], record, task=task) for name, fields, task, record in rows]


def _several() -> list[dict[str, Any]]:
    return [{"name": "wiring", "measurements": [4, 2.5, 9, 3]}, {"name": "planning", "measurements": []}]


def _small_cases() -> list[dict[str, Any]]:
    age = {"type": "integer", "minimum": 18, "maximum": 98, "x-feature": {"encode": "number"}}
    gain = {
        "type": "number",
        "minimum": 0,
        "maximum": 99_999,
        "x-feature": {"encode": "number", "transform": "log1p", "bins": [1, 5000, 20_000]},
    }
    town = {
        "type": "string",
        "enum": ["north", "south", "elsewhere"],
        "x-feature": {"encode": "one-hot", "unlisted_to": "elsewhere"},
    }
    chosen = {
        "type": "array",
        "uniqueItems": True,
        "items": {"type": "string", "enum": ["a", "b", "c", "d"]},
        "x-feature": {"encode": "multi-hot"},
    }
    ill = {"type": "boolean", "x-feature": {"encode": "boolean"}}
    return [
        *(_case(f"number at {value}", {"x": age}, ["x"], {"x": value}) for value in (18, 41, 98)),
        *(
            _case(f"log1p with bins at {v}", {"x": gain}, ["x"], {"x": v})
            for v in (0, 1, 4999.5, 5000, 99_999)
        ),
        *(_case(f"one-hot {value}", {"x": town}, ["x"], {"x": value}) for value in ("north", "elsewhere")),
        _case("multi-hot", {"x": chosen}, ["x"], {"x": ["d", "b"]}),
        _case("multi-hot of nothing", {"x": chosen}, ["x"], {"x": []}),
        *(_case(f"boolean {value}", {"x": ill}, ["x"], {"x": value}) for value in (True, False)),
        _case("measurements", {"x": _skills()}, ["x"], {"x": _entries()}),
        _case("absent number", {"x": age}, [], {}),
        _case("present number that may be absent", {"x": age}, [], {"x": 58}),
        _case("absent one-hot", {"x": town}, [], {}),
    ]


def _skills() -> dict[str, Any]:
    measured = {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 10}}
    names = {"type": "string", "enum": ["writing", "planning", "wiring"]}
    item = {
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "measurements"],
        "properties": {"name": names, "measurements": measured},
    }
    return {
        "type": "array",
        "x-unique-by": "name",
        "items": item,
        "x-feature": {"encode": "mean-of-measurements"},
    }


def _entries() -> list[dict[str, Any]]:
    return [{"name": "wiring", "measurements": [7, 8.5, 10]}, {"name": "planning", "measurements": []}]


def _case(
    name: str,
    properties: dict[str, Any],
    required: list[str],
    record: dict[str, Any],
    *,
    task: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Field `x` as the only input, and a yes/no target beside it."""
    target = {"type": "boolean", "x-feature": {"encode": "boolean"}}
    requirement = {
        "type": "object",
        "additionalProperties": False,
        "required": [*required, "y"],
        "properties": {**properties, "y": target},
    }
    return _encoded(name, requirement, ["x"], ["y"], record | {"y": True}, task)


def _seeds_example() -> dict[str, Any]:
    requirement = job_performance.requirement()
    person = job_performance.job_performance(people=10).train[0]
    inputs = ["job_title", "manager_evaluation", "peer_review"]
    return _encoded(
        "the seed's example", requirement, inputs, ["skills", "preferences", "characteristics"], person
    )


def _bins(task: dict[str, Any]) -> int:
    """Columns that a task's bins add."""
    return sum(len(part["bins_micro"]) + 1 for part in task.values() if "bins_micro" in part)


def _encoded(
    name: str,
    requirement: dict[str, Any],
    inputs: list[str],
    target: list[str],
    record: dict[str, Any],
    task: dict[str, Any] | None = None,
) -> dict[str, Any]:
    check_profile(requirement)
    assert validate(requirement, record) == []
    said = {"task": task} if task else {}
    width_in = input_width(requirement, inputs) + _bins(task or {})
    manifest = parse_manifest(
        {
            **said,
            "version": 1,
            "name": "vectors",
            "purpose": "vectors",
            "inputs": inputs,
            "target": target,
            "width_in": width_in,
            "width_out": target_width(requirement, target),
            "layers": [{"op": "linear", "out": target_width(requirement, target), "bias": True}],
            "loss": "bce-with-logits",
            "training": {"learning_rate_micro": 1_000_000, "steps": 1},
            "output": {"kind": "gradient", "clip_micro": 1_000_000},
        }
    )
    x, y = Encoder(requirement, manifest).encode(record)
    return {
        "name": name,
        "requirement": requirement,
        "requirement_id": requirement_hash(requirement),
        "inputs": inputs,
        "target": target,
        **said,
        "record": record,
        "x": x,
        "y": y,
    }
