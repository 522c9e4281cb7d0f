"""Gradients against closed forms and finite differences; steps and checkpoints that anybody can recompute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from collectives.terms.algorithm import parameter_count, parse_manifest, stack
from collectives.terms.errors import TermsError
from collectives.training import checkpoint, init, metrics, update
from collectives.training.baseline import train_centrally
from collectives.training.features import Encoder, input_width
from collectives.training.net import compute_update, predict

JOB = bytes(range(16))


def manifest(width_in: int, layers: list[dict[str, Any]], width_out: int = 1, **changes: Any) -> Any:
    document = {
        "version": 1,
        "name": "m",
        "purpose": "p",
        "inputs": ["a"],
        "target": ["b"],
        "width_in": width_in,
        "width_out": width_out,
        "layers": layers,
        "loss": "bce-with-logits",
        "training": {"learning_rate_micro": 500_000, "steps": 1},
        "output": {"kind": "gradient", "clip_micro": 1_000_000},
    }
    return parse_manifest(document | changes)


def numbers(count: int, seed: int, bound: float = 1.0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return init.uniform(bytes([seed]) * 16, count, bound)


def test_the_gradient_of_a_logistic_regression_is_its_closed_form() -> None:
    m = manifest(4, stack([1]))
    w, x, y = numbers(5, 1), numbers(8, 2).reshape(2, 4), np.array([[1.0], [0.0]], np.float32)

    error = 1 / (1 + np.exp(-(x @ w[:4] + w[4]))) - y[:, 0]

    expected = np.concatenate([(error[:, None] * x).mean(0), [error.mean()]])
    np.testing.assert_allclose(compute_update(m, w, x, y), expected, atol=1e-6)


LAYERS = {
    "relu": [*stack([5], "relu"), {"op": "relu"}, {"op": "linear", "out": 2, "bias": True}],
    "tanh and layernorm": [
        *stack([5]),
        {"op": "layernorm"},
        {"op": "tanh"},
        {"op": "linear", "out": 2, "bias": False},
    ],
    "sigmoid": [*stack([3]), {"op": "sigmoid"}, {"op": "linear", "out": 2, "bias": True}],
    "frozen random layer": [
        {"op": "random", "out": 6, "seed": "ab" * 32},
        {"op": "tanh"},
        {"op": "linear", "out": 2, "bias": True},
    ],
}


@pytest.mark.parametrize("loss", ["bce-with-logits", "mse", "softmax-cross-entropy"])
@pytest.mark.parametrize("name", LAYERS)
def test_every_operator_has_the_gradient_of_its_loss(name: str, loss: str) -> None:
    m = manifest(3, LAYERS[name], 2, loss=loss)
    w, x = numbers(parameter_count(m), 3, 0.8), numbers(12, 4).reshape(4, 3)
    y = (
        np.array([[1], [0], [1], [0]], np.float32)
        if loss.startswith("soft")
        else np.array([[1, 0], [0, 1], [1, 1], [0, 0]], np.float32)
    )

    def value(weights: Any) -> float:
        out = predict(m, weights.astype(np.float32), x).astype(np.float64)
        if loss == "mse":
            return float(np.mean((out - y) ** 2))
        if loss == "bce-with-logits":
            return float(-np.mean(np.where(y > 0.5, np.log(out), np.log1p(-out))))
        return float(-np.mean(np.log(out[np.arange(4), y[:, 0].astype(int)])))

    gradient = compute_update(m, w, x, y)
    for i in range(0, w.size, max(1, w.size // 12)):
        shift = np.zeros_like(w)
        shift[i] = 0.01
        measured = (value(w + shift) - value(w - shift)) / 0.02
        assert gradient[i] == pytest.approx(measured, abs=2e-3)


def test_a_delta_of_one_step_is_the_gradient_times_the_rate() -> None:
    x, y, w = numbers(4, 5).reshape(1, 4), np.ones((1, 1), np.float32), numbers(5, 6)
    gradient = compute_update(manifest(4, stack([1])), w, x, y)
    delta = compute_update(
        manifest(4, stack([1]), output={"kind": "delta", "clip_micro": 1_000_000}), w, x, y
    )

    np.testing.assert_allclose(delta, 0.5 * gradient, atol=1e-6)


def test_several_local_steps_descend() -> None:
    m = manifest(
        4,
        stack([1]),
        output={"kind": "delta", "clip_micro": 10**6},
        training={"learning_rate_micro": 500_000, "steps": 20},
    )
    x, y, w = numbers(4, 5).reshape(1, 4), np.ones((1, 1), np.float32), np.zeros(5, np.float32)

    assert predict(m, w - compute_update(m, w, x, y), x)[0, 0] > 0.8


def test_weights_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(ValueError, match="5 parameters"):
        compute_update(
            manifest(4, stack([1])),
            np.zeros(4, np.float32),
            np.zeros((1, 4), np.float32),
            np.zeros((1, 1), np.float32),
        )


def test_initial_weights_depend_on_manifest_and_job_alone() -> None:
    m = manifest(4, stack([8, 1]))

    first = init.initial_weights(m, JOB)

    assert np.array_equal(first, init.initial_weights(m, JOB))
    assert not np.array_equal(first, init.initial_weights(m, bytes(16)))
    assert np.abs(first[:32]).max() <= 0.5
    assert not first[32:].any(), "biases and the last layer start at zero"


@pytest.mark.parametrize("optimiser", update.OPTIMISERS)
def test_a_step_survives_being_stored_between_rounds(optimiser: str) -> None:
    state = stored = update.ServerState.start(numbers(6, 7))
    for seed in range(5):
        mean = numbers(6, 20 + seed).astype(np.float64)
        state = update.step(state, mean, optimiser=optimiser, learning_rate_micro=100_000, decay_rounds=5)
        again = update.ServerState.from_bytes(
            checkpoint.weights_to_bytes(stored.weights), stored.moments_to_bytes()
        )
        stored = update.step(again, mean, optimiser=optimiser, learning_rate_micro=100_000, decay_rounds=5)

    assert checkpoint.weights_to_bytes(state.weights) == checkpoint.weights_to_bytes(stored.weights)
    assert state.steps == 5


def test_adams_first_step_has_the_length_of_the_rate() -> None:
    state = update.step(
        update.ServerState.start(np.zeros(2, np.float32)),
        np.array([3.0, -0.001]),
        optimiser="adam",
        learning_rate_micro=200_000,
    )

    np.testing.assert_allclose(state.weights, [-0.2, 0.2], atol=1e-4)


def test_the_rate_stays_for_the_rounds_that_are_told_and_then_falls_to_a_tenth() -> None:
    """Plain descent on a mean of one moves by the rate of the round."""
    state, moved = update.ServerState.start(np.zeros(1, np.float32)), []
    for _ in range(9):
        before = float(state.weights[0])
        state = update.step(
            state,
            np.ones(1),
            optimiser="sgd",
            learning_rate_micro=1_000_000,
            decay_rounds=8,
            full_rounds=4,
        )
        moved.append(before - float(state.weights[0]))

    half = 0.1 + 0.9 * 0.5
    assert moved[:5] == pytest.approx([1.0] * 5), (
        "so many, and the first of the falling ones begins at the top"
    )
    assert moved[6] == pytest.approx(half, abs=1e-6), "half a cosine's middle"
    assert moved[5] > moved[6] > moved[7] > moved[8]
    assert moved[8] == pytest.approx(0.1, abs=1e-6)


def test_a_checkpoint_file_reads_back_and_notices_a_changed_byte() -> None:
    m, w = manifest(4, stack([1])), numbers(5, 8)
    data = checkpoint.write_file(m, 3, checkpoint.weights_to_bytes(w), {"cohort": 130})

    again, number, weights, facts = checkpoint.read_file(data)

    assert (again.hash, number, facts) == (m.hash, 3, {"cohort": 130})
    assert np.array_equal(weights, w)
    for broken in (
        data[:-1],
        data + b"\x00",
        data[:-1] + bytes([data[-1] ^ 1]),
        b"",
        b"CSSICKPT",
        b"CSSICKPT\xff\xff\xff\xff",
    ):
        with pytest.raises(TermsError) as raised:
            checkpoint.read_file(broken)
        assert raised.value.code == "not_a_checkpoint"


def test_the_checkpoint_hash_binds_manifest_round_and_weights() -> None:
    base = checkpoint.checkpoint_hash(bytes(32), 1, b"w")

    assert (
        len(
            {
                base,
                checkpoint.checkpoint_hash(b"\x01" * 32, 1, b"w"),
                checkpoint.checkpoint_hash(bytes(32), 2, b"w"),
                checkpoint.checkpoint_hash(bytes(32), 1, b"v"),
            }
        )
        == 4
    )


def test_metrics_agree_with_scikit_learn() -> None:
    from sklearn.metrics import log_loss, roc_auc_score

    labels = (numbers(200, 9) > 0.2).astype(np.float64)
    scores = np.round((numbers(200, 10).astype(np.float64) + labels + 1) / 3, 2)

    assert metrics.auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    assert metrics.log_loss(labels, scores) == pytest.approx(
        log_loss(labels, np.clip(scores, 1e-7, 1 - 1e-7))
    )
    assert np.isnan(metrics.auc(np.ones(3), np.ones(3)))


def test_the_central_baseline_converges_to_scikit_learns_model() -> None:
    from sklearn.linear_model import LogisticRegression

    x = numbers(600, 11).reshape(200, 3)
    y = (x @ [1.0, -2.0, 0.5] + numbers(200, 12) > 0).astype(np.float32)[:, None]
    weights = train_centrally(manifest(3, stack([1])), x, y)
    theirs = LogisticRegression(tol=1e-8, max_iter=1000).fit(x, y[:, 0])

    np.testing.assert_allclose(weights[:3], theirs.coef_[0], atol=0.05)


REQUIREMENT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["n", "log", "pay", "binned", "yes", "kind", "likes", "skills", "b"],
    "properties": {
        "n": {"type": "number", "minimum": 0, "maximum": 10, "x-feature": {"encode": "number"}},
        "log": {
            "type": "number",
            "minimum": 0,
            "maximum": 99,
            "x-feature": {"encode": "number", "transform": "log1p"},
        },
        "pay": {
            "type": "number",
            "minimum": 99,
            "maximum": 9999,
            "x-feature": {"encode": "number", "transform": "log1p"},
        },
        "binned": {
            "type": "number",
            "minimum": 0,
            "maximum": 10,
            "x-feature": {"encode": "number", "bins": [2, 5]},
        },
        "yes": {"type": "boolean", "x-feature": {"encode": "boolean"}},
        "kind": {
            "type": "string",
            "enum": ["x", "y", "other"],
            "x-feature": {"encode": "one-hot", "unlisted_to": "other"},
        },
        "maybe": {"type": "string", "enum": ["p", "q"], "x-feature": {"encode": "one-hot"}},
        "likes": {
            "type": "array",
            "items": {"type": "string", "enum": ["a", "b", "c"]},
            "x-feature": {"encode": "multi-hot"},
        },
        "skills": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string", "enum": ["s", "t"]},
                    "measurements": {
                        "type": "array",
                        "items": {"type": "number", "minimum": 0, "maximum": 10},
                    },
                },
            },
            "x-feature": {"encode": "mean-of-measurements"},
        },
        "b": {"type": "boolean", "x-feature": {"encode": "boolean"}},
    },
}
RECORD: dict[str, Any] = {
    "n": 5,
    "log": 9,
    "pay": 999,
    "binned": 2,
    "yes": True,
    "kind": "z",
    "likes": ["c", "a"],
    "skills": [{"name": "t", "measurements": [10, 5]}],
    "b": True,
}
COLUMNS = {
    "n": [0.0],
    "log": [0.0],
    "pay": [0.0],
    "binned": [-0.6, 0, 1, 0],
    "yes": [1.0],
    "kind": [0, 0, 1],
    "maybe": [0, 0, 1],
    "likes": [1, 0, 1],
    "skills": [0, 0, 0.5, 1],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_each_encoding_gives_its_published_columns(name: str) -> None:
    width = input_width(REQUIREMENT, [name])
    m = manifest(width, stack([1]), inputs=[name])

    x, y = Encoder(REQUIREMENT, m).encode(RECORD)

    np.testing.assert_allclose(x, COLUMNS[name], atol=1e-6)
    assert y.tolist() == [1.0]


def test_measurements_as_target_are_one_grade_from_0_to_1_for_each_name() -> None:
    m = manifest(1, stack([2]), 2, inputs=["n"], target=["skills"])
    record = RECORD | {"skills": [{"name": "t", "measurements": [10, 5]}, {"name": "s", "measurements": []}]}

    _, y = Encoder(REQUIREMENT, m).encode(record)

    assert y.tolist() == [0.0, 0.75]


def test_a_value_outside_its_public_range_counts_as_the_ranges_end() -> None:
    m = manifest(2, stack([1]), inputs=["n", "pay"])

    x, _ = Encoder(REQUIREMENT, m).encode(RECORD | {"n": -7, "pay": 10**9})

    assert x.tolist() == [-1.0, 1.0]


def test_a_present_optional_field_clears_its_absent_flag() -> None:
    m = manifest(3, stack([1]), inputs=["maybe"])

    x, _ = Encoder(REQUIREMENT, m).encode(RECORD | {"maybe": "q"})

    assert x.tolist() == [0.0, 1.0, 0.0]


@pytest.mark.parametrize(("inputs", "width"), [(["n"], 2), (["nowhere"], 1)])
def test_a_manifest_that_does_not_fit_its_requirement_is_refused(inputs: list[str], width: int) -> None:
    with pytest.raises(TermsError) as raised:
        Encoder(REQUIREMENT, manifest(width, stack([1]), inputs=inputs))
    assert raised.value.code == "wrong_fields"
