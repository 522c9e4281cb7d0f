"""One visit per wallet: ridge regression from the sums of φφᵀ and φtᵀ, against the same regression with all records in one place."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aggregation.privacy import accounting, noise, pipeline
from aggregation.privacy.mechanism import calibrated
from collectives.terms.algorithm import Manifest, output_length, parse_manifest
from collectives.training import outcome, statistics
from collectives.training.init import initial_weights
from collectives.training.update import ServerState
from tests.benchmarks.learning.data import People
from tests.benchmarks.learning.engine import ACCEPTED, Result, check_ring, protected, quality
from tests.benchmarks.learning.headers import header_of, seeded

CHUNK = 100
VALUE_BITS, FRACTION_BITS = 16, 15
"""A sum of 2¹⁶ wallets must fit 32 bits. The bound is below 1, so 15 fraction bits are 16-bit fixed point."""


@dataclass(frozen=True, kw_only=True)
class OneShot:
    """`ridge`: the penalty. `epsilon`: a promised ε, or 0 for the noise floor alone; `quiet` leaves that out too.

    The solver is told how much noise there is and holds back accordingly, so that even the floor moves the model a little.
    """

    name: str
    epsilon: float = 0.0
    quiet: bool = False
    delta: float = 1e-5
    ridge: float = 1.0


def bound_of(people: People) -> float:
    """The norm no answer exceeds: ‖φφᵀ‖ = ‖φ‖² and ‖φt‖ ≤ ‖φ‖, with ‖φ‖² ≤ (most + 1) / k from public constants."""
    square = (people.most + 1) / (people.x.shape[1] + 1)
    return float(np.sqrt(square**2 + square))


def run(shot: OneShot, people: People, seed: int) -> Result:
    """All wallets once, one sum."""
    started = time.process_time()
    manifest = parse_manifest(people.ridge(clip=bound_of(people), ridge=shot.ridge))
    share, words = _noise(shot, manifest, people)
    state = outcome.begin(manifest, initial_weights(manifest, bytes(16)))
    mean = _mean(manifest, people, state.weights, share, seeded(f"{shot.name}:{seed}"))
    accuracy, auc, log_loss = quality(manifest, _solved(manifest, state, mean, people.wallets, share), people)
    return Result(
        accuracy=accuracy,
        auc=auc,
        log_loss=log_loss,
        visits=people.wallets,
        rounds=1,
        most_visits=1,
        seconds=time.process_time() - started,
        privacy=words,
        clip=manifest.output.clip_micro / 1e6,
    )


def _least(people: People) -> int:
    """The smallest sum that is accepted."""
    return round(people.wallets * ACCEPTED)


def _noise(shot: OneShot, manifest: Manifest, people: People) -> tuple[int, str]:
    """(one wallet's share, what it means in words)."""
    clip, least = manifest.output.clip_micro, _least(people)
    if not shot.epsilon:
        return 0 if shot.quiet else noise.floor_share_micro(clip, least), ""
    mechanism = calibrated(
        accounting.multiplier_for(shot.epsilon, delta=shot.delta),
        clip_micro=clip,
        wallets=least,
        coordinates=output_length(manifest),
        fraction_bits=FRACTION_BITS,
    )
    if not mechanism.never_clamped(VALUE_BITS):
        raise AssertionError("a noised value could be clamped")
    said = accounting.state(mechanism, release_min=least, bucket_min=least, visits=1, delta=shot.delta)
    return mechanism.share_micro, said.words()


def _mean(
    manifest: Manifest, people: People, weights: NDArray[np.float32], share: int, rng: Callable[[int], bytes]
) -> NDArray[np.float64]:
    header = header_of(
        manifest,
        job=bytes(16),
        number=1,
        weights=weights,
        noise_micro=share,
        value_bits=VALUE_BITS,
        fraction_bits=FRACTION_BITS,
        bucket_size=people.wallets,
        bucket_min=_least(people),
        release_min=_least(people),
    )
    total, ring = np.zeros(header.d, np.int64), np.zeros(header.d, np.uint32)
    for start in range(0, people.wallets, CHUNK):
        values = protected(answers(manifest, people, start, start + CHUNK), header, rng)
        total += values.sum(axis=0)
        ring += values.astype(np.uint32).sum(axis=0, dtype=np.uint32)
    check_ring(total, ring)
    return pipeline.recover(total, count=people.wallets, fraction_bits=FRACTION_BITS, d=header.d)


def central(people: People, ridge: float) -> Result:
    """The same regression on the exact sums: no bound, no rounding, no noise."""
    manifest = parse_manifest(people.ridge(clip=bound_of(people), ridge=ridge))
    state = outcome.begin(manifest, initial_weights(manifest, bytes(16)))
    mean = statistics.regression(manifest, people.x.astype(np.float64), people.y.astype(np.float64))
    accuracy, auc, log_loss = quality(manifest, _solved(manifest, state, mean, people.wallets, 0), people)
    return Result(
        accuracy=accuracy, auc=auc, log_loss=log_loss, visits=0, rounds=0, most_visits=0, seconds=0.0
    )


def answers(manifest: Manifest, people: People, start: int, end: int) -> NDArray[np.float64]:
    """What these wallets send, [n, d]."""
    x, y = (part[start:end].astype(np.float64) for part in (people.x, people.y))
    return np.stack([statistics.regression(manifest, x[i : i + 1], y[i : i + 1]) for i in range(len(x))])


def _solved(
    manifest: Manifest, state: ServerState, mean: NDArray[np.float64], wallets: int, share: int
) -> NDArray[np.float32]:
    after = outcome.advance(
        manifest,
        state,
        mean,
        wallets=wallets,
        noise=share / 1e6 / wallets**0.5,
        optimiser="sgd",
        learning_rate_micro=1,
    )
    return after.weights
