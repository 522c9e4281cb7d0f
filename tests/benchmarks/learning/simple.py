"""One job over all its rounds, wallet by wallet, as the demo trains it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aggregation.privacy import noise, quantise
from aggregation.secagg.messages.header import Header
from collectives.services.plan import RING_BITS, JobPlan
from collectives.terms.algorithm import Manifest, parse_manifest
from collectives.training.baseline import train_centrally
from collectives.training.features import Encoder
from collectives.training.init import initial_weights
from collectives.training.net import compute_update
from collectives.training.outcome import advance, begin
from marketplace.demo.consumer import Judge
from marketplace.demo.datasets import Dataset
from marketplace.demo.plan import Plan
from marketplace.demo.result import Metrics
from tests.benchmarks.learning.draws import PassDraw
from tests.benchmarks.learning.headers import header_of, seeded
from wallets.agent.output import contract

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What one run came to. `noise_floor` is the least σ of a bucket sum in clip bounds; `largest` the largest |bucket sum|."""

    federated: Metrics
    central: Metrics
    visits: int
    noise_floor: float
    largest: int
    seconds: float

    @property
    def accuracy_gap(self) -> float:
        """Central minus federated; negative when the wallets did better."""
        return self.central.accuracy - self.federated.accuracy

    @property
    def auc_gap(self) -> float:
        return self.central.auc - self.federated.auc


def learn(data: Dataset, plan: Plan, *, seed: int, dropouts: float = 0.0, asked: bool = False) -> Learned:
    """One job over all its rounds.

    Args:
        seed: everything random; the job's id, so the initial weights, come from it too.
        dropouts: share of each cohort that vanishes before its masked input.
        asked: over-selection as on a site (all asked wallets come); otherwise exactly `plan.cohort` of them.
    """
    started = time.monotonic()
    rng, job = seeded(seed), hashlib.sha256(f"job:{seed}".encode()).digest()[:16]
    manifest, draw = parse_manifest(data.manifest), PassDraw(len(data.train), seed)
    x, y = Encoder(data.requirement, manifest).encode_many(data.train)
    state, size, visits, largest = begin(manifest, initial_weights(manifest, job)), plan.cohort, 0, 0
    job_plan = JobPlan(cohort=plan.cohort, decay_after_ppm=plan.decay_after_ppm)
    if asked:
        size = min(len(data.train), job_plan.invited())
    share = noise.floor_share_micro(manifest.output.clip_micro, plan.bucket_min)
    for number in range(1, plan.rounds + 1):
        header = header_of(
            manifest,
            job=job,
            number=number,
            weights=state.weights,
            noise_micro=share,
            value_bits=plan.value_bits,
            fraction_bits=plan.fraction_bits,
            bucket_size=plan.bucket_size,
            bucket_min=plan.bucket_min,
            release_min=plan.release_min,
            development=plan.development,
        )
        cohort = draw.next(size)
        visits += len(cohort)
        cohort = cohort[: max(plan.release_min, round(len(cohort) * (1 - dropouts)))]
        total, peak = _sum(header, manifest, state.weights, x, y, cohort, rng)
        largest = max(largest, peak)
        state = advance(
            manifest,
            state,
            quantise.dequantise_mean(total, count=len(cohort), fraction_bits=header.f),
            wallets=len(cohort),
            noise=share / 1e6 / len(cohort) ** 0.5,
            optimiser=plan.optimiser,
            learning_rate_micro=plan.learning_rate_micro,
            decay_rounds=plan.rounds,
            full_rounds=job_plan.full_rounds(plan.rounds),
        )
    judge = Judge(data)
    return Learned(
        federated=judge.measure(state.weights),
        central=judge.measure(train_centrally(manifest, x, y)),
        visits=visits,
        noise_floor=share * plan.bucket_min**0.5 / manifest.output.clip_micro,
        largest=largest,
        seconds=time.monotonic() - started,
    )


def held_out(data: Dataset) -> Dataset:
    """The training records alone: three quarters to learn from, every fourth to judge by."""
    kept = [record for n, record in enumerate(data.train) if n % 4]
    return replace(data, train=kept, test=data.train[::4])


def _sum(
    header: Header,
    manifest: Manifest,
    weights: Floats,
    x: Floats,
    y: Floats,
    cohort: Sequence[int],
    rng: Callable[[int], bytes],
) -> tuple[NDArray[np.int64], int]:
    """The cohort's sum, int64 [d], read back bucket by bucket from words modulo 2³²; and the largest |bucket sum|."""
    total, largest = np.zeros(header.d, dtype=np.int64), 0
    for bucket in np.array_split(np.array(cohort), header.bucket_count(len(cohort))):
        plain, words = np.zeros(header.d, dtype=np.int64), np.zeros(header.d, dtype=np.uint32)
        for wallet in bucket:
            raw = compute_update(manifest, weights, x[wallet : wallet + 1], y[wallet : wallet + 1])
            values = contract(raw.astype("<f4").tobytes(), header, rng)
            plain += values
            words += values.astype(np.uint32)  # two's complement: the ring's own arithmetic
        if not np.array_equal(words.view(np.int32), plain):
            raise AssertionError(f"a bucket of {len(bucket)} wrapped around 2^{RING_BITS}")
        total += plain
        largest = max(largest, int(np.abs(plain).max()))
    return total, largest
