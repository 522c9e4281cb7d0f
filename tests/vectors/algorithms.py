"""Vectors of the algorithms' vocabulary: a manifest of every kind of answer, and what a wallet answers to it.

Every operator, loss and kind is here. `nets` of gradients.json are gradients and deltas (oracle: automatic differentiation of the
declared loss); `answers` are the kinds that are no derivative. A dropout layer's mask comes from `seed`, as net.py says.
"""

from __future__ import annotations

from typing import Any

from collectives.terms.algorithm import stack

SEED = bytes(range(32))
BASE: dict[str, Any] = {"version": 1, "name": "m", "purpose": "p", "inputs": ["age", "town"], "width_in": 4}
LINEAR: dict[str, Any] = {"target": ["ill"], "width_out": 1, "layers": stack([1]), "loss": "bce-with-logits"}
STEP: dict[str, Any] = {"training": {"learning_rate_micro": 250_000, "steps": 1}}
CLIP = 1_000_000
_OUT2 = {"op": "linear", "out": 2, "bias": True}
_RANDOM = {"op": "random", "out": 5, "seed": "ab" * 32, "gain_micro": 2_000_000}
_FEATURES = {"target": ["ill"], "width_out": 2, "loss": "mse", "layers": [_RANDOM, {"op": "tanh"}, _OUT2]}


def output(kind: str, **more: int) -> dict[str, Any]:
    return {"output": {"kind": kind, "clip_micro": CLIP, **more}}


def _net(layers: list[dict[str, Any]], loss: str = "mse", width: int = 2, **changes: Any) -> dict[str, Any]:
    model = {"target": ["ill"], "width_out": width, "layers": layers, "loss": loss}
    return {**BASE, **model, **STEP, **output("gradient"), **changes}


_BLOCKS = [{"at": 1, "columns": 2, "out": 3}, {"at": 3, "columns": 1, "out": 1}]
NETS: dict[str, dict[str, Any]] = {
    "linear without a bias": _net([{"op": "linear", "out": 2, "bias": False}]),
    "sigmoid": _net([*stack([3]), {"op": "sigmoid"}, _OUT2], "bce-with-logits"),
    "layer norm": _net([*stack([5]), {"op": "layernorm"}, {"op": "tanh"}, _OUT2]),
    "embedding": _net([{"op": "embedding", "blocks": _BLOCKS}, *stack([3, 2])], "bce-with-logits"),
    "frozen random layer with a gain": _net([_RANDOM, {"op": "relu"}, _OUT2]),
    "dropout": _net([*stack([6]), {"op": "dropout", "rate_micro": 400_000}, {"op": "tanh"}, _OUT2]),
    "delta of three steps": _net(
        stack([3, 3], "tanh"),
        "softmax-cross-entropy",
        3,
        training={"learning_rate_micro": 250_000, "steps": 3},
        **output("delta"),
    ),
}
ANSWERS: dict[str, dict[str, Any]] = {
    "elm-statistics of a random layer": {**BASE, **_FEATURES, **output("elm-statistics", ridge_micro=500_000)},
    "elm-statistics of the columns": {
        **BASE,
        **LINEAR,
        "loss": "mse",
        "layers": [{"op": "linear", "out": 1, "bias": False}],
        **output("elm-statistics", ridge_micro=0),
    },
    "evaluation of yes or no": {**BASE, **LINEAR, **output("evaluation", bins=8)},
    "evaluation of numbers": {
        **BASE, **LINEAR, "loss": "mse", "width_out": 2, "layers": stack([2]), **output("evaluation", bins=2),
    },
    "evaluation of classes": {
        **BASE,
        **LINEAR,
        "loss": "softmax-cross-entropy",
        "width_out": 3,
        "layers": stack([3]),
        **output("evaluation", bins=2),
    },
    "mean": {**BASE, **output("mean")},
    "histogram": {**BASE, **output("histogram", bins=5)},
    "covariance": {**BASE, **output("covariance")},
}  # fmt: skip
TASKS: dict[str, dict[str, Any]] = {
    "a task": {
        **_net(stack([1]), "bce-with-logits", 1),
        "task": {
            "age": {"scale": "log1p", "low_micro": 0, "high_micro": 90_500_000, "bins_micro": [20_000_000]},
            "ill": {"combine": "maximum"},
        },
    },
}
EXAMPLES = {**NETS, **ANSWERS, **TASKS}
