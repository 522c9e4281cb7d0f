"""Small jobs the torch parent runs once before it serves, so that its children find every operator loaded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from aggregation.wire import cbor
from collectives.terms.algorithm import parameter_count, parse_manifest
from collectives.terms.canonical import canonical

_LAYERS: list[dict[str, Any]] = [
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


def frames() -> Iterator[bytes]:
    """One training job per loss and kind of output, over every layer of the vocabulary."""
    for loss, width in _LOSSES.items():
        for kind in ("gradient", "delta"):
            manifest = {
                "version": 1,
                "name": "warm-up",
                "purpose": "load every operator",
                "inputs": ["a"],
                "target": ["b"],
                "width_in": 2,
                "width_out": 2,
                "layers": _LAYERS,
                "loss": loss,
                "training": {"learning_rate_micro": 1000, "steps": 1},
                "output": {"kind": kind, "clip_micro": 1_000_000},
            }
            body = canonical(manifest)
            count = parameter_count(parse_manifest(body))
            yield cbor.encode(
                {
                    "kind": "train",
                    "manifest": body,
                    "weights": np.full(count, 0.1, "<f4").tobytes(),
                    "x": np.ones((1, 2), "<f4").tobytes(),
                    "x_shape": [1, 2],
                    "y": np.zeros((1, width), "<f4").tobytes(),
                    "y_shape": [1, width],
                    "seed": bytes(32),
                }
            )
