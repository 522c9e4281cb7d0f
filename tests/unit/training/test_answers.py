"""Answers that are no derivative, read back by the server: against closed forms and against the metrics they stand for."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from collectives.terms.algorithm import (
    Manifest,
    natural_bound,
    output_length,
    parameter_count,
    parse_manifest,
    stack,
)
from collectives.training import checkpoint, init, metrics, net, outcome, ridge, statistics
from collectives.training.baseline import train_centrally
from tests.vectors.algorithms import ANSWERS, BASE, EXAMPLES, LINEAR, NETS, SEED, output

JOB = bytes(range(16))


def numbers(count: int, seed: int, bound: float = 1.0) -> np.ndarray[Any, np.dtype[np.float32]]:
    return init.uniform(bytes([seed]) * 16, count, bound)


def people(count: int, seed: int = 3, outputs: int = 1) -> tuple[Any, Any]:
    """x [count, 4] in ±1, y [count, outputs] in {0, 1} with a rule in it."""
    x = numbers(4 * count, seed).reshape(count, 4)
    return x, np.stack([x[:, o] + 0.5 * x[:, 3] > 0 for o in range(outputs)], axis=1).astype(np.float32)


def after(manifest: Manifest, x: Any, y: Any, *, rounds: int = 1, weights: Any = None) -> outcome.ServerState:
    """The state when wallets of one record each have answered, in so many rounds, without noise."""
    start = init.initial_weights(manifest, JOB) if weights is None else weights
    state = outcome.begin(manifest, start)
    for part in np.array_split(np.arange(len(x)), rounds):
        rows = [net.compute_update(manifest, start, x[i : i + 1], y[i : i + 1]) for i in part]
        mean = np.mean(rows, axis=0, dtype=np.float64)
        state = outcome.advance(
            manifest, state, mean, wallets=len(part), noise=0.0, optimiser="sgd", learning_rate_micro=1
        )
    return state


ELM = parse_manifest(EXAMPLES["elm-statistics of a random layer"])


def test_one_round_of_statistics_is_the_ridge_regression_of_all_records() -> None:
    x, y = people(200, outputs=2)
    flat = net.torch.from_numpy(init.initial_weights(ELM, JOB))
    h = net.forward(ELM, flat, net.torch.from_numpy(x), layers=2).double().numpy()
    h = np.concatenate([h, np.ones((200, 1))], axis=1)
    closed = np.linalg.solve(h.T @ h + 0.5 * np.diag([1, 1, 1, 1, 1, 0]), h.T @ y)

    weights = after(ELM, x, y).weights

    np.testing.assert_allclose(weights[:10].reshape(2, 5), closed[:5].T, atol=1e-3)
    np.testing.assert_allclose(weights[10:], closed[5], atol=1e-3)
    np.testing.assert_allclose(net.predict(ELM, weights, x), h @ closed, atol=1e-3)
    np.testing.assert_allclose(weights, train_centrally(ELM, x, y), atol=1e-4)


def test_a_linear_layer_without_a_bias_is_solved_too() -> None:
    manifest = parse_manifest(EXAMPLES["elm-statistics of the columns"])
    x, y = people(60)

    found = after(manifest, x, y).weights

    np.testing.assert_allclose(found, np.linalg.lstsq(x.astype(float), y, rcond=None)[0][:, 0], atol=1e-4)


@pytest.mark.parametrize("name", [name for name in ANSWERS if not name.startswith("evaluation")])
def test_rounds_of_different_wallets_add_up(name: str) -> None:
    manifest = parse_manifest(ANSWERS[name])
    x, y = people(90, outputs=max(1, manifest.width_out))
    y = y[:, : manifest.width_out]

    once, thrice = after(manifest, x, y), after(manifest, x, y, rounds=3)

    np.testing.assert_allclose(once.weights, thrice.weights, atol=1e-5)
    assert thrice.second[0] == 90 and thrice.steps == 3


def test_the_state_survives_its_row() -> None:
    x, y = people(30, outputs=2)
    state = after(ELM, x, y)

    again = outcome.ServerState.from_bytes(
        checkpoint.weights_to_bytes(state.weights), state.moments_to_bytes()
    )

    np.testing.assert_array_equal(again.first, state.first)
    np.testing.assert_array_equal(again.second, state.second)


def test_noise_that_is_told_does_not_ruin_the_solution() -> None:
    x, y = people(400, outputs=2)
    clean = after(ELM, x, y)
    second, cross = statistics.moments(ELM, clean.first)
    noise = 8.0
    shaken = statistics.unpacked(numbers(21, 8, noise * math.sqrt(3)).astype(float), 6)
    told = ridge.solve(second + shaken, cross, penalty=0.01, noise=noise, constant=True)
    untold = ridge.solve(second + shaken, cross, penalty=0.01, noise=0.0, constant=True)
    truth = ridge.solve(second, cross, penalty=0.01, noise=0.0, constant=True)

    assert np.linalg.eigvalsh(second + shaken)[0] < 0, "the noise makes an eigenvalue negative here"
    assert np.linalg.norm(told) <= np.linalg.norm(truth)
    assert np.linalg.norm(told - truth) < 0.2 * np.linalg.norm(untold - truth)


def test_a_mean_a_histogram_and_a_covariance_say_what_numpy_says() -> None:
    x, nothing = people(150)[0], np.zeros((150, 0), np.float32)
    found = {
        name: outcome.findings(m, after(m, x, nothing))
        for name in ("mean", "histogram", "covariance")
        if (m := parse_manifest(ANSWERS[name]))
    }

    np.testing.assert_allclose(found["mean"]["mean"], x.mean(axis=0), atol=1e-5)
    counted = [np.histogram(column, bins=5, range=(-1, 1))[0] / 150 for column in x.T]
    np.testing.assert_allclose(found["histogram"]["histogram"], counted, atol=1e-5)
    np.testing.assert_allclose(found["covariance"]["mean"], x.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found["covariance"]["covariance"], np.cov(x.T, ddof=0), atol=1e-5)
    assert {row["wallets"] for row in found.values()} == {150}


def test_the_ends_of_the_range_are_in_the_first_and_last_bin() -> None:
    manifest = parse_manifest(ANSWERS["histogram"])
    x = np.array([[-1, 1, 0, -0.3]], np.float32)

    made = net.compute_update(manifest, np.zeros(20, np.float32), x, np.zeros((1, 0), np.float32))

    assert made.reshape(4, 5).argmax(axis=1).tolist() == [0, 4, 2, 1]


def test_an_evaluation_says_what_the_metrics_say() -> None:
    manifest = parse_manifest({**BASE, **LINEAR, **output("evaluation", bins=64)})
    x, y = people(300)
    weights = np.array([2, 0.3, -0.4, 1, 0.1], np.float32)
    scores = net.predict(manifest, weights, x).astype(float)[:, 0]

    found = outcome.findings(manifest, after(manifest, x, y, weights=weights))

    assert found["accuracy"] == pytest.approx(metrics.accuracy(y[:, 0], scores))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(y[:, 0], scores), abs=1e-5)
    assert found["auc"] == pytest.approx(metrics.auc(y[:, 0], scores), abs=0.005)
    assert 0.6 < found["auc"] < 0.999


def test_an_evaluation_leaves_the_model_as_it_is() -> None:
    manifest = parse_manifest(ANSWERS["evaluation of yes or no"])
    weights = numbers(5, 1)
    np.testing.assert_array_equal(after(manifest, *people(20), weights=weights).weights, weights)


def test_an_evaluation_of_numbers_and_of_classes() -> None:
    squared = parse_manifest(ANSWERS["evaluation of numbers"])
    x, y = people(100, outputs=2)
    weights = numbers(10, 2, 0.3)
    error = net.predict(squared, weights, x) - y
    found = outcome.findings(squared, after(squared, x, y, weights=weights))
    capped = np.minimum(error.astype(float) ** 2, 1)
    assert found["rmse"] == pytest.approx(np.sqrt(capped.mean(axis=0)).mean(), abs=1e-5)
    assert found["mean_absolute_error"] == pytest.approx(np.minimum(np.abs(error), 1).mean(), abs=1e-5)

    classes = parse_manifest(ANSWERS["evaluation of classes"])
    answer = (y.sum(axis=1, keepdims=True)).astype(np.float32)
    weights = numbers(15, 4)
    chosen = net.predict(classes, weights, x).argmax(axis=1)
    found = outcome.findings(classes, after(classes, x, answer, weights=weights))
    assert found["accuracy"] == pytest.approx((chosen == answer[:, 0]).mean(), abs=1e-6)
    counted = np.zeros((3, 3))
    np.add.at(counted, (answer[:, 0].astype(int), chosen), 0.01)
    np.testing.assert_allclose(found["confusion"], counted, atol=1e-5)


@pytest.mark.parametrize("name", ANSWERS)
def test_no_record_exceeds_the_natural_bound_and_the_worst_comes_near(name: str) -> None:
    manifest = parse_manifest(ANSWERS[name])
    bound = natural_bound(manifest)
    assert bound is not None
    worst = 0.0
    for seed in range(60):
        x = np.sign(numbers(4, seed)).reshape(1, 4) * (1.0 if seed else 0.0)
        y = np.ones((1, manifest.width_out), np.float32)
        y = np.array([[seed % 3]], np.float32) if manifest.loss.startswith("soft") else y * (seed % 2)
        weights = numbers(parameter_count(manifest), seed + 60, 40.0)
        worst = max(worst, float(np.linalg.norm(net.compute_update(manifest, weights, x, y))))
    assert worst <= bound * (1 + 1e-6)
    assert worst > 0.6 * bound


def test_a_query_has_a_file_like_a_model_and_predicts_nothing() -> None:
    manifest = parse_manifest(ANSWERS["mean"])
    state = after(manifest, people(20)[0], np.zeros((20, 0), np.float32))
    written = checkpoint.write_file(manifest, 1, checkpoint.weights_to_bytes(state.weights), {"wallets": 20})

    read, number, weights, facts = checkpoint.read_file(written)

    assert (read.hash, number, facts["wallets"]) == (manifest.hash, 1, 20)
    np.testing.assert_array_equal(weights, state.weights)
    with pytest.raises(ValueError, match="predict"):
        net.predict(manifest, weights, people(2)[0])


def test_a_mean_of_another_length_is_refused() -> None:
    state = outcome.begin(ELM, init.initial_weights(ELM, JOB))
    with pytest.raises(ValueError, match="length"):
        outcome.advance(
            ELM,
            state,
            np.zeros(output_length(ELM) - 1),
            wallets=5,
            noise=0,
            optimiser="sgd",
            learning_rate_micro=1,
        )


# --- operators that came later -----------------------------------------------------------------------------------


def test_an_embedding_looks_one_hot_columns_up_and_passes_the_others_on() -> None:
    blocks = [{"at": 1, "columns": 3, "out": 2}]
    document = {
        **BASE,
        "width_in": 5,
        **LINEAR,
        "layers": [{"op": "embedding", "blocks": blocks}, *stack([1])],
    }
    manifest = parse_manifest({**document, **output("evaluation", bins=2)})
    table = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    flat = net.torch.from_numpy(np.concatenate([table.reshape(-1), np.zeros(5, np.float32)]))

    out = net.forward(manifest, flat, net.torch.tensor([[7.0, 0, 1, 0, 9]]), layers=1)

    assert out.tolist() == [[7, 2, 5, 9]]


def test_a_dropout_mask_is_what_the_text_says() -> None:
    document = {**NETS["dropout"], "layers": [{"op": "dropout", "rate_micro": 400_000}, *stack([2])]}
    manifest, x = parse_manifest(document), np.ones((2, 4), np.float32)
    flat = net.torch.from_numpy(np.arange(10, dtype=np.float32))

    out = net.forward(manifest, flat, net.torch.from_numpy(x), seed=SEED, step=7, layers=1).numpy()

    key = hashlib.sha256(b"cssi/v1/dropout" + SEED + b"\x00" + (7).to_bytes(4, "big")).digest()[:16]
    drawn = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(32))
    words = [int.from_bytes(drawn[i : i + 4], "little") for i in range(0, 32, 4)]
    expected = [0.0 if word * 10**6 < 400_000 * 2**32 else 1 / 0.6 for word in words]
    np.testing.assert_allclose(out.reshape(-1), expected, rtol=1e-6)
    assert 0 < out.tolist().count([0.0] * 4) + (out == 0).sum() < 8
    np.testing.assert_array_equal(net.forward(manifest, flat, net.torch.from_numpy(x), layers=1).numpy(), x)


def test_a_dropout_layer_drops_its_rate() -> None:
    layer = parse_manifest(NETS["dropout"]).layers[1]
    kept = net._mask(layer, 2000, SEED, 1, 0).numpy()
    assert (kept == 0).mean() == pytest.approx(0.4, abs=0.02)
    assert kept.mean() == pytest.approx(1.0, abs=0.03)
    assert not np.array_equal(kept, net._mask(layer, 2000, SEED, 1, 1).numpy())


def test_a_delta_of_three_steps_is_three_steps_by_hand() -> None:
    document = NETS["delta of three steps"]
    manifest, x = parse_manifest(document), people(5)[0]
    y = np.array([[0], [1], [2], [1], [0]], np.float32)
    single = parse_manifest(
        document | {"training": {"learning_rate_micro": 250_000, "steps": 1}} | output("gradient")
    )
    start = weights = numbers(parameter_count(manifest), 9, 0.5)
    for _ in range(3):
        weights = weights - 0.25 * net.compute_update(single, weights, x, y)

    np.testing.assert_allclose(net.compute_update(manifest, start, x, y), start - weights, atol=1e-6)


def test_initial_weights_of_the_new_kinds() -> None:
    embedding = init.initial_weights(parse_manifest(NETS["embedding"]), JOB)
    assert np.abs(embedding[:7]).max() > 0.3 and len(set(embedding[:7].tolist())) == 7
    for name in ("mean", "elm-statistics of a random layer"):
        manifest = parse_manifest(ANSWERS[name])
        made = init.initial_weights(manifest, JOB)
        assert made.shape == (parameter_count(manifest),) and not made.any()
