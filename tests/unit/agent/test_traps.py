"""Weights that are a trap are told from honest ones, before, during and after training."""

from __future__ import annotations

import numpy as np
import pytest

from collectives.terms.algorithm import Manifest, layout, parameter_count, parse_manifest
from collectives.training import catalogue, net
from collectives.training.features import Encoder
from collectives.training.init import initial_weights
from collectives.training.net import compute_update
from collectives.training.update import ServerState, step
from marketplace.demo.datasets import breast_cancer
from tests.unit.agent import documents
from wallets.agent import traps
from wallets.agent.traps import looks_like_a_trap


def mlp(width_in: int = 24, hidden: int = 32) -> Manifest:
    layers = [
        {"op": "linear", "out": hidden, "bias": True},
        {"op": "relu"},
        {"op": "linear", "out": 1, "bias": True},
    ]
    return parse_manifest(documents.manifest(width_in=width_in, layers=layers))


def people(count: int, width: int) -> np.ndarray:
    """Records without a pattern, float32 [count, width]."""
    return np.sin(np.arange(count * width) * 12.9898).astype(np.float32).reshape(count, width)


def imprint(manifest: Manifest, *, rows: float = 1.0) -> np.ndarray:
    """The first layer of “Robbing the Fed”: one direction in a share of the units, biases that cut it into bins."""
    weights = honest(manifest)
    hidden, width = manifest.layers[0].width_out, manifest.layers[0].width_in
    matrix = weights[: hidden * width].reshape(hidden, width)
    trapped = int(hidden * rows)
    matrix[:trapped] = np.cos(np.arange(width)) * (1 + np.arange(trapped)[:, None] / hidden)
    weights[hidden * width : hidden * (width + 1)] = -np.linspace(-3, 3, hidden)
    return weights


def honest(manifest: Manifest) -> np.ndarray:
    return initial_weights(manifest, bytes(32)).copy()


@pytest.mark.parametrize("rows", [1.0, 0.8, 0.6])
def test_an_imprint_layer_is_recognised(rows: float) -> None:
    manifest = mlp()
    assert looks_like_a_trap(manifest, imprint(manifest, rows=rows))


def test_opposite_directions_do_not_hide_it() -> None:
    manifest = mlp()
    weights = imprint(manifest)
    weights[: 24 * 16] *= -1
    assert looks_like_a_trap(manifest, weights)


def test_honest_weights_pass_before_and_after_training() -> None:
    manifest = mlp()
    weights, x = honest(manifest), people(64, 24)
    y = (x[:, :1] > 0).astype(np.float32)
    assert not looks_like_a_trap(manifest, weights)
    for _ in range(300):
        weights -= 0.5 * compute_update(manifest, weights, x, y)
    assert not looks_like_a_trap(manifest, weights)


def test_narrow_layers_and_zeros_are_not_judged() -> None:
    manifest = mlp(width_in=4)
    assert not looks_like_a_trap(manifest, imprint(manifest))
    wide = mlp()
    assert not looks_like_a_trap(wide, np.zeros(parameter_count(wide), np.float32))


def test_a_layer_that_hardly_any_record_excites_is_recognised() -> None:
    manifest = mlp()
    weights = honest(manifest)
    assert not looks_like_a_trap(manifest, weights)
    weights[24 * 32 : 24 * 32 + 32] = -1.1 * np.abs(weights[: 24 * 32]).max() * 24**0.5
    assert looks_like_a_trap(manifest, weights)


def test_the_trap_is_found_behind_an_embedding_and_a_norm_too() -> None:
    layers = [
        {"op": "embedding", "blocks": [{"at": 4, "columns": 6, "out": 8}]},
        {"op": "random", "out": 12, "seed": "ab" * 32},
        {"op": "tanh"},
        {"op": "linear", "out": 32, "bias": True},
        {"op": "layernorm"},
        {"op": "relu"},
        {"op": "linear", "out": 1, "bias": True},
    ]
    manifest = parse_manifest(documents.manifest(width_in=24, layers=layers))
    weights = honest(manifest)
    assert not looks_like_a_trap(manifest, weights)
    start, end = layout(manifest)[4]
    weights[start + 32 : end] = -2.5  # the norm's own bias: below almost every normed value
    assert looks_like_a_trap(manifest, weights)


def test_units_that_die_deep_in_a_net_in_brisk_training_are_no_trap() -> None:
    data = breast_cancer()
    asked = {"inputs": data.manifest["inputs"], "target": data.manifest["target"]}
    manifest = parse_manifest(catalogue.build("mlp", data.requirement, **asked))
    x, y = Encoder(data.requirement, manifest).encode_many(data.train)
    state = ServerState.start(initial_weights(manifest, bytes(16)))
    deep = 0
    for _ in range(20):
        state = step(
            state,
            compute_update(manifest, state.weights, x, y).astype(np.float64),
            optimiser="adam",
            learning_rate_micro=200_000,
        )
        assert not looks_like_a_trap(manifest, state.weights)
        end = layout(manifest)[2][1]
        deep = max(deep, int((state.weights[end - 32 : end] < 0).sum()))
    assert deep > 16, "most of the second layer's biases fell below zero on the way"


def test_the_agents_forward_pass_is_the_workers() -> None:
    layers = [
        {"op": "embedding", "blocks": [{"at": 1, "columns": 3, "out": 2}]},
        {"op": "random", "out": 6, "seed": "cd" * 32, "gain_micro": 3_000_000},
        {"op": "sigmoid"},
        {"op": "linear", "out": 5, "bias": True},
        {"op": "layernorm"},
        {"op": "tanh"},
        {"op": "linear", "out": 4, "bias": False},
        {"op": "relu"},
        {"op": "linear", "out": 1, "bias": True},
    ]
    manifest = parse_manifest(documents.manifest(width_in=6, layers=layers))
    weights = honest(manifest) + np.float32(0.1)
    x = people(9, 6)
    theirs = net.forward(manifest, net.torch.from_numpy(weights), net.torch.from_numpy(x)).numpy()

    ours = x.astype(np.float64)
    for layer, (start, end) in zip(manifest.layers, layout(manifest), strict=True):
        ours = traps._forward(layer, weights[start:end].astype(np.float64), ours)

    np.testing.assert_allclose(ours, theirs, atol=1e-5)
