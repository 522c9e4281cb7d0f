"""A model judged by wallets: through the agent's clip, noise floor and rounding, the figures stay near those on open records."""

from __future__ import annotations

import uuid
from typing import Any

import numpy as np
import pytest

from aggregation.privacy import noise, quantise
from collectives.terms.algorithm import output_length, parse_manifest
from collectives.training import catalogue, metrics, net, outcome
from collectives.training.baseline import train_centrally
from collectives.training.features import Encoder
from marketplace.demo.datasets import breast_cancer
from tests.unit.agent import documents
from tests.unit.secagg.pair import Entropy
from wallets.agent.output import contract

BUCKET_MIN = 38


@pytest.fixture(scope="module")
def judged() -> tuple[Any, Any, Any, Any]:
    """(evaluation, weights of a model trained on 200 people, x and y of 240 others)."""
    data = breast_cancer()
    manifest = parse_manifest(data.manifest)
    x, y = Encoder(data.requirement, manifest).encode_many(data.train)
    weights = train_centrally(manifest, x[:200], y[:200], iterations=60)
    return parse_manifest(catalogue.evaluation_of(data.manifest)), weights, x[200:440], y[200:440]


def header(manifest: Any) -> Any:
    clip = manifest.output.clip_micro
    return documents.header(
        str(uuid.UUID(int=3)),
        log_root=bytes(32),
        log_size=1,
        distributor_key=bytes.fromhex(documents.Collective().key),
        d=output_length(manifest),
        q=24,
        f=16,
        clip_micro=clip,
        noise_micro=noise.floor_share_micro(clip, BUCKET_MIN),
        bucket_min=BUCKET_MIN,
    )


def test_wallets_say_how_good_a_model_is(judged: tuple[Any, Any, Any, Any]) -> None:
    manifest, weights, x, y = judged
    head, rng, total = header(manifest), Entropy("evaluation"), np.zeros(output_length(manifest), np.int64)
    for i in range(len(x)):
        raw = net.compute_update(manifest, weights, x[i : i + 1], y[i : i + 1])
        total += contract(raw.tobytes(), head, rng)
    mean = quantise.dequantise_mean(total, count=len(x), fraction_bits=16)
    sigma = head.noise_micro / 1e6 / len(x) ** 0.5
    state = outcome.advance(
        manifest,
        outcome.begin(manifest, weights),
        mean,
        wallets=len(x),
        noise=sigma,
        optimiser="sgd",
        learning_rate_micro=1,
    )

    found = outcome.findings(manifest, state)

    labels, scores = y[:, 0].astype(float), net.predict(manifest, weights, x)[:, 0].astype(float)
    assert found["noise"] == pytest.approx(sigma)
    assert sigma < 0.003
    assert found["accuracy"] == pytest.approx(metrics.accuracy(labels, scores), abs=5 * sigma)
    assert found["auc"] == pytest.approx(metrics.auc(labels, scores), abs=0.03)
    assert found["log_loss"] == pytest.approx(metrics.log_loss(labels, scores), abs=5 * sigma * 16.2)
    assert found["accuracy"] > 0.9


def test_a_worse_model_is_seen_to_be_worse(judged: tuple[Any, Any, Any, Any]) -> None:
    manifest, weights, x, y = judged
    begun = outcome.begin(manifest, weights)
    rule = {"wallets": len(x), "noise": 0.0, "optimiser": "sgd", "learning_rate_micro": 1}

    def quality(tried: Any) -> dict[str, Any]:
        answer = net.compute_update(manifest, tried, x, y).astype(np.float64)
        return outcome.findings(manifest, outcome.advance(manifest, begun, answer, **rule))

    good, bad = quality(weights), quality(-weights)
    assert good["auc"] > 0.95 and bad["auc"] < 0.05
    assert good["log_loss"] < bad["log_loss"]
