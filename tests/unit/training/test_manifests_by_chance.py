"""Whatever a manifest says, an answer depends on data in one way only: as a mean over records, of a fixed shape, under a bound.

Manifests are drawn from the whole vocabulary, and mutilated ones from any JSON put anywhere into them. Each is refused, or its
answers have these properties for every record.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregation.privacy.clipping import clip
from collectives.terms.algorithm import (
    ACTIVATIONS,
    LOSSES,
    OUTPUTS,
    QUERIES,
    Manifest,
    natural_bound,
    output_length,
    parameter_count,
    parse_manifest,
)
from collectives.terms.errors import TermsError
from collectives.training import init, net
from tests.vectors.algorithms import EXAMPLES

QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SEED = st.binary(min_size=32, max_size=32).map(bytes.hex)
WIDTHS = st.integers(1, 5)


@st.composite
def layers(draw: st.DrawFn, width: int, *, learning: bool) -> list[dict[str, Any]]:
    """Any stack of the vocabulary; without `learning`, one whose last layer alone has parameters."""
    found: list[dict[str, Any]] = []
    if learning and draw(st.booleans()):
        at = draw(st.integers(0, width - 1))
        block = {"at": at, "columns": draw(st.integers(1, width - at)), "out": draw(WIDTHS)}
        found.append({"op": "embedding", "blocks": [block]})
    known = [*ACTIVATIONS, "random", *(["linear", "layernorm", "dropout"] if learning else [])]
    for op in draw(st.lists(st.sampled_from(known), max_size=4)):
        found.append({"op": op})
        if op in ("linear", "random"):
            found[-1]["out"] = draw(WIDTHS)
        if op == "linear":
            found[-1]["bias"] = draw(st.booleans())
        if op == "random":
            found[-1] |= {"seed": draw(SEED), "gain_micro": draw(st.integers(1, 10**8))}
        if op == "dropout":
            found[-1]["rate_micro"] = draw(st.integers(0, 900_000))
    return [*found, {"op": "linear", "out": draw(WIDTHS), "bias": draw(st.booleans())}]


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    kind, width = draw(st.sampled_from(OUTPUTS)), draw(WIDTHS)
    document: dict[str, Any] = {"version": 1, "name": "n", "purpose": "p", "inputs": ["a"], "width_in": width}
    document["output"] = {"kind": kind, "clip_micro": draw(st.integers(1, 10**9))}
    if kind in ("evaluation", "histogram"):
        document["output"]["bins"] = draw(st.integers(2, 64))
    if kind == "elm-statistics":
        document["output"]["ridge_micro"] = draw(st.integers(0, 10**12))
    if kind in QUERIES:
        return document
    stack = draw(layers(width, learning=kind != "elm-statistics"))
    loss = "mse" if kind == "elm-statistics" else draw(st.sampled_from(LOSSES))
    document |= {"target": ["b"], "width_out": stack[-1]["out"], "layers": stack, "loss": loss}
    if kind in ("gradient", "delta"):
        steps = 1 if kind == "gradient" else draw(st.integers(1, 4))
        document["training"] = {"learning_rate_micro": draw(st.integers(1, 10**6)), "steps": steps}
    return document


@st.composite
def records(draw: st.DrawFn, manifest: Manifest) -> tuple[Any, Any]:
    """(x [n, width_in], y) of one to four records, extremes among them."""
    count = draw(st.integers(1, 4))
    number = st.one_of(st.sampled_from([-1.0, 0.0, 1.0]), st.floats(-1, 1, width=32))
    x = draw(st.lists(number, min_size=count * manifest.width_in, max_size=count * manifest.width_in))
    width = 1 if manifest.loss.startswith("soft") else manifest.width_out
    top = manifest.width_out - 1 if manifest.loss.startswith("soft") else 1
    y = draw(st.lists(st.integers(0, top), min_size=count * width, max_size=count * width))
    return np.array(x, np.float32).reshape(count, -1), np.array(y, np.float32).reshape(count, width)


def weights_of(manifest: Manifest, key: bytes) -> Any:
    return init.uniform(key, parameter_count(manifest), 2.0)


@QUICK
@given(st.data())
def test_an_answer_has_one_shape_a_bound_and_no_other_way_to_depend_on_data(data: st.DataObject) -> None:
    manifest = parse_manifest(data.draw(manifests()))
    weights = weights_of(manifest, data.draw(st.binary(min_size=16, max_size=16)))
    x, y = data.draw(records(manifest))

    answer = net.compute_update(manifest, weights, x, y, bytes(32))

    assert answer.dtype == np.float32 and answer.shape == (output_length(manifest),)
    if not np.isfinite(answer).all():
        assert manifest.output.kind == "delta", (
            "several steps of a wild rate; the agent refuses such an answer"
        )
        return
    np.testing.assert_array_equal(answer, net.compute_update(manifest, weights, x, y, bytes(32)))
    bound = manifest.output.clip_micro / 1e6
    assert np.linalg.norm(clip(answer.astype(np.float64), bound)) <= bound * (1 + 1e-6)
    natural = natural_bound(manifest)
    assert natural is None or np.linalg.norm(answer) <= natural * (1 + 1e-5)


@QUICK
@given(st.data())
def test_an_answer_is_the_mean_over_records(data: st.DataObject) -> None:
    document = data.draw(manifests())
    document["layers"] = [layer for layer in document.get("layers", []) if layer["op"] != "dropout"]
    if document["output"]["kind"] == "delta":
        document["training"]["steps"] = 1
    if not document["layers"]:
        del document["layers"]
    manifest = parse_manifest(document)
    weights = weights_of(manifest, data.draw(st.binary(min_size=16, max_size=16)))
    x, y = data.draw(records(manifest))

    whole = net.compute_update(manifest, weights, x, y)
    alone = [net.compute_update(manifest, weights, x[i : i + 1], y[i : i + 1]) for i in range(len(x))]

    scale = max(1.0, float(np.abs(alone).max()))
    np.testing.assert_allclose(whole / scale, np.mean(alone, axis=0) / scale, atol=2e-4)


PLACES = st.lists(st.integers(0, 50), min_size=1, max_size=5)
JUNK = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-5, 2**53), st.floats(allow_nan=False), st.text(max_size=6),
        st.sampled_from([*OUTPUTS, *LOSSES, "linear", "embedding", "random", "ab" * 32]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)),
    max_leaves=4,
)  # fmt: skip


def mutilated(document: Any, path: list[int], junk: Any) -> Any:
    """`document` with `junk` at the place a path of numbers leads to."""
    if not isinstance(document, dict | list) or not document or not path:
        return junk
    keys = list(document) if isinstance(document, dict) else list(range(len(document)))
    key = keys[path[0] % len(keys)]
    document[key] = mutilated(document[key], path[1:], junk)
    return document


@settings(parent=QUICK, max_examples=200)
@given(st.sampled_from(sorted(EXAMPLES)), PLACES, JUNK, st.booleans())
def test_a_mutilated_manifest_is_refused_or_as_harmless_as_another(
    name: str, path: list[int], junk: Any, more: bool
) -> None:
    document = mutilated(copy.deepcopy(EXAMPLES[name]), path, junk)
    if more and isinstance(document, dict):
        document["also"] = junk
    try:
        manifest = parse_manifest(document)
    except TermsError as error:
        assert error.code == "bad_manifest"
        return
    assert not more, "an unknown field is never taken"
    if max(output_length(manifest), parameter_count(manifest)) > 50_000 or manifest.width_in > 500:
        return
    weights = weights_of(manifest, bytes(16))
    for value in (-1.0, 0.0, 1.0):
        x = np.full((1, manifest.width_in), value, np.float32)
        y = np.zeros((1, 1 if manifest.loss.startswith("soft") else manifest.width_out), np.float32)
        answer = net.compute_update(manifest, weights, x, y)
        assert answer.shape == (output_length(manifest),) and answer.dtype == np.float32
