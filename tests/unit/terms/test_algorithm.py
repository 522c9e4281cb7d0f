"""Manifests: the closed vocabulary and its limits."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from collectives.terms.algorithm import layout, manifest_hash, parameter_count, parse_manifest
from collectives.terms.errors import TermsError


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
