"""Answers computed together are those computed alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aggregation.wire import cbor
from collectives.terms.algorithm import Manifest, parameter_count, parse_manifest
from collectives.terms.canonical import canonical
from collectives.training import many
from collectives.training.many import compute_updates
from collectives.training.net import compute_update
from wallets.agent.sandbox import worker
from wallets.agent.sandbox.launcher import TrainJob
from wallets.host.packed import frame

PLAIN: list[dict[str, Any]] = [
    {"op": "linear", "out": 5, "bias": True},
    {"op": "layernorm"},
    {"op": "tanh"},
    {"op": "linear", "out": 4, "bias": False},
    {"op": "relu"},
    {"op": "random", "out": 4, "seed": "07" * 32},
    {"op": "sigmoid"},
    {"op": "linear", "out": 3, "bias": True},
]
WALLETS = 6


def manifest(
    layers: list[dict[str, Any]], loss: str = "mse", kind: str = "gradient", steps: int = 1
) -> Manifest:
    return parse_manifest(
        canonical(
            {
                "version": 1,
                "name": "several wallets",
                "purpose": "be computed together",
                "inputs": ["a"],
                "target": ["b"],
                "width_in": 3,
                "width_out": 3,
                "layers": layers,
                "loss": loss,
                "training": {"learning_rate_micro": 50_000, "steps": steps},
                "output": {"kind": kind, "clip_micro": 1_000_000},
            }
        )
    )


def arrays(made: Manifest, records: int) -> tuple[Any, Any, Any]:
    """Weights, x and y that differ from wallet to wallet."""

    def spread(shape: tuple[int, ...], step: float) -> Any:
        return np.sin(np.arange(np.prod(shape)) * step).reshape(shape).astype(np.float32)

    x = spread((WALLETS, records, 3), 12.9898)
    if made.loss == "softmax-cross-entropy":
        y = (np.arange(WALLETS * records) % 3).reshape(WALLETS, records, 1).astype(np.float32)
    else:
        y = np.abs(spread((WALLETS, records, 3), 78.233))
    return spread((parameter_count(made),), 3.7), x, y


def alone(made: Manifest, weights: Any, x: Any, y: Any) -> Any:
    return np.stack([compute_update(made, weights, x[i], y[i], bytes([i]) * 32) for i in range(WALLETS)])


@pytest.mark.parametrize("loss", ["mse", "bce-with-logits", "softmax-cross-entropy"])
@pytest.mark.parametrize(("kind", "steps", "records"), [("gradient", 1, 1), ("delta", 3, 2)])
def test_every_layer_and_loss_together_is_each_alone(loss: str, kind: str, steps: int, records: int) -> None:
    made = manifest(PLAIN, loss, kind, steps)
    assert many._together(made)
    weights, x, y = arrays(made, records)
    expected = alone(made, weights, x, y)
    found = compute_updates(made, weights, x, y, [bytes([i]) * 32 for i in range(WALLETS)])
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-6)
    assert np.ptp(expected, axis=0).max() > 0.01  # the wallets' answers differ, so a mix-up would show


def test_what_has_a_seed_of_its_own_runs_alone_with_that_seed() -> None:
    made = manifest([PLAIN[0], {"op": "dropout", "rate_micro": 500_000}, PLAIN[-1]])
    assert not many._together(made)
    weights, x, y = arrays(made, 1)
    found = compute_updates(made, weights, x, y, [bytes([i]) * 32 for i in range(WALLETS)])
    assert np.array_equal(found, alone(made, weights, x, y))
    same = compute_updates(made, weights, x, y, [bytes(32)] * WALLETS)
    assert not np.array_equal(found, same)


def test_a_worker_answers_a_handful_in_the_order_of_its_frame() -> None:
    made = manifest(PLAIN)
    weights, x, y = arrays(made, 1)
    jobs = [
        TrainJob(
            manifest=canonical(made.document),
            weights=weights.tobytes(),
            x=x[i].tobytes(),
            x_shape=x[i].shape,
            y=y[i].tobytes(),
            y_shape=y[i].shape,
            seed=bytes(32),
            dimension=weights.size,
        )
        for i in (4, 0, 2)
    ]
    answers = np.frombuffer(worker._run(frame(jobs)), "<f4").reshape(3, -1)
    np.testing.assert_allclose(answers, alone(made, weights, x, y)[[4, 0, 2]], rtol=2e-4, atol=1e-6)
    assert cbor.decode(frame(jobs))["x_shape"] == [3, 1, 3]
