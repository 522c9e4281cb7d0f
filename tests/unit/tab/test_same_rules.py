"""What the tab asks of an algorithm, a round and delivered weights is what the agent asks."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from collectives.terms.algorithm import output_length, parameter_count, parse_manifest, question_hash
from collectives.training.checkpoint import checkpoint_hash, weights_to_bytes
from collectives.training.init import initial_weights, uniform
from tests.unit.secagg.pair import header
from tests.unit.tab.node import Script
from tests.vectors.algorithms import EXAMPLES
from wallets.agent.rules import objection
from wallets.agent.traps import looks_like_a_trap

JOB = bytes(range(16))
MANY = {**EXAMPLES["histogram"], "output": {"kind": "histogram", "clip_micro": 1_000_000, "bins": 64}}


@pytest.fixture
async def tab() -> AsyncIterator[Script]:
    async with Script("compute") as started:
        yield started


async def test_a_round_is_objected_to_for_the_same_reason(tab: Script) -> None:
    draws, seen = random.Random(9), set()
    for document in [*EXAMPLES.values(), MANY] * 4:
        manifest = parse_manifest(document)
        first = initial_weights(manifest, JOB)
        honest = checkpoint_hash(bytes.fromhex(manifest.hash), 0, weights_to_bytes(first))
        development = draws.random() < 0.3
        head = header(
            job=JOB,
            round=draws.choice((1, 1, 2)),
            d=output_length(manifest) + draws.choice((0, 0, 0, 1, 2)),
            clip_micro=draws.choice((1_000_000, 1_000_000, 1_000_001)),
            noise_micro=draws.choice((20_000, 250_000)),
            checkpoint_hash=draws.choice((honest, honest, bytes(32))),
            bucket_size=20 if not development else 5,
            bucket_min=20 if not development else 2,
            release_min=100 if not development else 2,
            development=development,
        )
        said = await tab.ask("rules", manifest=document, header=head.to_bytes().hex(), job=JOB.hex())
        expected = objection(manifest, head)
        assert said == [question_hash(manifest), weights_to_bytes(first).hex(), expected]
        seen.add(expected)
    assert seen == {None, "shape_mismatch", "not_initial", "ratio_too_high"}


def dense(width: int, hidden: int, activation: str) -> dict[str, Any]:
    layers = [
        {"op": "linear", "out": hidden, "bias": True},
        {"op": activation},
        {"op": "linear", "out": 1, "bias": True},
    ]
    return {**EXAMPLES["sigmoid"], "width_in": width, "width_out": 1, "layers": layers}


async def test_weights_are_suspected_alike(tab: Script) -> None:
    draws, suspected = random.Random(10), 0
    for _ in range(24):
        width, hidden = draws.randint(4, 20), draws.randint(6, 40)
        document = dense(width, hidden, draws.choice(("relu", "tanh", "sigmoid")))
        manifest = parse_manifest(document)
        weights = uniform(draws.randbytes(16), parameter_count(manifest), 1.0)
        kind = draws.choice(("honest", "one direction", "seldom", "a few seldom"))
        rows = weights[: width * hidden].reshape(hidden, width)
        if kind == "one direction":
            rows[: draws.randint(hidden // 3, hidden)] = rows[0]
        if kind == "seldom":
            weights[width * hidden : (width + 1) * hidden] = -4.0 * np.sqrt(width)
        if kind == "a few seldom":
            weights[width * hidden : width * hidden + hidden // 4] = -4.0 * np.sqrt(width)
        expected = looks_like_a_trap(manifest, weights)
        assert await tab.ask("trap", manifest=document, weights=weights.tobytes().hex()) == expected, kind
        suspected += expected
    assert 4 <= suspected <= 18
