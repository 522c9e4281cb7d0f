"""Small jobs the torch parent runs once before it serves, so that its children find every operator loaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from aggregation.wire import cbor
from collectives.terms.algorithm import QUERIES, TRAINED, parameter_count, parse_manifest
from collectives.terms.canonical import canonical

_LAYERS: list[dict[str, Any]] = [
    {"op": "embedding", "blocks": [{"at": 0, "columns": 1, "out": 1}]},
    {"op": "random", "out": 3, "seed": "00" * 32},
    {"op": "linear", "out": 3, "bias": True},
    {"op": "layernorm"},
    {"op": "relu"},
    {"op": "tanh"},
    {"op": "dropout", "rate_micro": 100_000},
    {"op": "sigmoid"},
    {"op": "linear", "out": 2, "bias": True},
]
_LOSSES = {"mse": 2, "bce-with-logits": 2, "softmax-cross-entropy": 1}
_BASE: dict[str, Any] = {
    "version": 1,
    "name": "warm-up",
    "purpose": "load every operator",
    "inputs": ["a"],
    "width_in": 2,
}
_STEP = {"training": {"learning_rate_micro": 1000, "steps": 1}}


def frames() -> Iterator[bytes]:
    """One job per loss and kind of answer, over every layer of the vocabulary; then several visits at once."""
    for loss, width in _LOSSES.items():
        model = {"target": ["b"], "width_out": 2, "layers": _LAYERS, "loss": loss}
        for kind in TRAINED:
            yield _frame({**_BASE, **model, **_STEP, "output": {"kind": kind}}, width)
        yield _frame({**_BASE, **model, "output": {"kind": "evaluation", "bins": 2}}, width)
    features = [_LAYERS[1], {"op": "tanh"}, _LAYERS[-1]]
    statistics = {"target": ["b"], "width_out": 2, "layers": features, "loss": "mse"}
    yield _frame({**_BASE, **statistics, "output": {"kind": "elm-statistics", "ridge_micro": 0}}, 2)
    for kind in QUERIES:
        bins = {"bins": 2} if kind == "histogram" else {}
        yield _frame({**_BASE, "output": {"kind": kind, **bins}}, 0)
    plain = {"target": ["b"], "width_out": 2, "layers": [_LAYERS[2], _LAYERS[4], _LAYERS[-1]], "loss": "mse"}
    yield _frame({**_BASE, **plain, **_STEP, "output": {"kind": "gradient"}}, 2, visits=2)


def _frame(document: dict[str, Any], width: int, *, visits: int = 0) -> bytes:
    document["output"]["clip_micro"] = 1_000_000
    body = canonical(document)
    count = parameter_count(parse_manifest(body))
    shape = [visits, 1] if visits else [1]
    many = (
        {"kind": "train-many", "seeds": [bytes(32)] * visits}
        if visits
        else {"kind": "train", "seed": bytes(32)}
    )
    return cbor.encode(
        {
            **many,
            "manifest": body,
            "weights": np.full(count, 0.1, "<f4").tobytes(),
            "x": np.ones((*shape, 2), "<f4").tobytes(),
            "x_shape": [*shape, 2],
            "y": np.zeros((*shape, width), "<f4").tobytes(),
            "y_shape": [*shape, width],
        }
    )
