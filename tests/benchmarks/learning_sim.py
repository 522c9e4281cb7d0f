"""How well a collective learns, in one process and without cryptography.

    python -m tests.benchmarks.learning_sim [--data DIR | --case job-performance] [--wallets N] [--cohort C] [--rounds R] [--seed S]

Everything that touches a number is the system's own code: encoder, initial weights, gradient, the agent's output contract
(clip, quantise, noise floor), sums modulo 2³² per bucket, the server's step, the central yardstick. Only masks, sockets and
money are left out; secure aggregation gives the same sums bit for bit, which other tests show. The test split is looked at
once, after the last round: nothing here chooses a setting by it. Settings are compared with `--held-out`, which judges by every
fourth training record and leaves the test split alone.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, pstdev

import numpy as np
from numpy.typing import NDArray

from aggregation.privacy import noise, quantise
from aggregation.secagg.messages.header import Header, PhaseSeconds
from aggregation.wire import signing
from collectives.services.plan import RING_BITS, JobPlan
from collectives.terms.algorithm import Manifest, parameter_count, parse_manifest
from collectives.training.baseline import train_centrally
from collectives.training.checkpoint import checkpoint_hash, weights_to_bytes
from collectives.training.features import Encoder
from collectives.training.init import initial_weights
from collectives.training.net import compute_update
from collectives.training.update import ServerState, step
from marketplace.demo.consumer import Judge
from marketplace.demo.datasets import Dataset, DatasetError, breast_cancer, folder
from marketplace.demo.job_performance import job_performance
from marketplace.demo.plan import Plan, PlanError, default_plan
from marketplace.demo.result import Metrics
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
    rng, job = _rng(seed), hashlib.sha256(f"job:{seed}".encode()).digest()[:16]
    manifest, draw = parse_manifest(data.manifest), _Draw(len(data.train), seed)
    x, y = Encoder(data.requirement, manifest).encode_many(data.train)
    state, size, visits, largest = ServerState.start(initial_weights(manifest, job)), plan.cohort, 0, 0
    if asked:
        size = min(len(data.train), JobPlan(cohort=plan.cohort).invited())
    for number in range(1, plan.rounds + 1):
        header = _header(manifest, plan, job, number, state)
        cohort = draw.next(size)
        visits += len(cohort)
        cohort = cohort[: max(plan.release_min, round(len(cohort) * (1 - dropouts)))]
        total, peak = _sum(header, manifest, state.weights, x, y, cohort, rng)
        largest = max(largest, peak)
        state = step(
            state,
            quantise.dequantise_mean(total, count=len(cohort), fraction_bits=header.f),
            optimiser=plan.optimiser,
            learning_rate_micro=plan.learning_rate_micro,
        )
    judge = Judge(data)
    share = noise.floor_share_micro(manifest.output.clip_micro, plan.bucket_min)
    return Learned(
        federated=judge.measure(state.weights),
        central=judge.measure(train_centrally(manifest, x, y)),
        visits=visits,
        noise_floor=share * plan.bucket_min**0.5 / manifest.output.clip_micro,
        largest=largest,
        seconds=time.monotonic() - started,
    )


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


class _Draw:
    """Cohorts without replacement inside a pass, as the distributor draws them: least drawn first, then a keyed order."""

    def __init__(self, wallets: int, seed: int) -> None:
        self._drawn, self._key, self._round = [0] * wallets, str(seed).encode(), 0

    def next(self, size: int) -> list[int]:
        self._round += 1
        order = sorted(range(len(self._drawn)), key=lambda wallet: (self._drawn[wallet], self._rank(wallet)))
        for wallet in order[:size]:
            self._drawn[wallet] += 1
        return order[:size]

    def _rank(self, wallet: int) -> bytes:
        return hmac.digest(self._key, f"{self._round}:{wallet}".encode(), hashlib.sha256)


def _header(manifest: Manifest, plan: Plan, job: bytes, number: int, state: ServerState) -> Header:
    weights = weights_to_bytes(state.weights)
    digest = checkpoint_hash(bytes.fromhex(manifest.hash), number - 1, weights)
    return Header(
        job=job,
        round=number,
        manifest_hash=bytes.fromhex(manifest.hash),
        checkpoint_hash=digest,
        d=parameter_count(manifest),
        ring_bits=RING_BITS,
        q=plan.value_bits,
        f=plan.fraction_bits,
        clip_micro=manifest.output.clip_micro,
        noise_micro=noise.floor_share_micro(manifest.output.clip_micro, plan.bucket_min),
        bucket_size=plan.bucket_size,
        bucket_min=plan.bucket_min,
        release_min=plan.release_min,
        threshold_ppm=760_000,
        log_root=bytes(32),
        log_size=1,
        distributor_key=signing.public_key(signing.generate(_rng(0))),
        deadlines=PhaseSeconds(advertise=30, share_keys=30, masked_input=30, consistency=30, unmask=30),
        development=plan.development,
    )


def _rng(seed: int) -> Callable[[int], bytes]:
    def blocks() -> Iterator[bytes]:
        count = 0
        while True:
            yield hashlib.sha512(f"learning-sim:{seed}:{count}".encode()).digest()
            count += 1

    source = blocks()
    return lambda size: b"".join(next(source) for _ in range(-(-size // 64)))[:size]


def held_out(data: Dataset) -> Dataset:
    """The training records alone: three quarters to learn from, every fourth to judge by."""
    kept = [record for n, record in enumerate(data.train) if n % 4]
    return replace(data, train=kept, test=data.train[::4])


def _data(options: argparse.Namespace, seed: int) -> Dataset:
    data = _whole(options, seed)
    return held_out(data) if options.held_out else data


def _whole(options: argparse.Namespace, seed: int) -> Dataset:
    if options.data:
        return folder(options.data).limited(options.wallets)
    if options.case:
        people = options.wallets or 400
        return job_performance(people=people + people // 4, seed=seed).limited(people)
    return breast_cancer().limited(options.wallets)


def _plan(options: argparse.Namespace, wallets: int) -> Plan:
    plan = default_plan(wallets, rounds=options.rounds, development_cohort=options.development_cohort)
    if options.cohort is not None:
        plan = replace(plan, cohort=options.cohort)
    if options.learning_rate is not None:
        plan = replace(plan, learning_rate_micro=round(options.learning_rate * 1e6))
    return plan


def _line(name: str, runs: Sequence[Learned], pick: Callable[[Metrics], float]) -> str:
    found, central = [pick(run.federated) for run in runs], [pick(run.central) for run in runs]
    gap = mean(central) - mean(found)
    return f"  {name:9} {mean(found):.4f} ± {pstdev(found):.4f}   central {mean(central):.4f}   central − wallets {gap:+.4f}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="learning_sim", description=__doc__.splitlines()[0])
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--data", type=Path, help="a folder with data.csv.gz and schema.json")
    where.add_argument(
        "--case", choices=["job-performance"], help="the generated people of the seed's example"
    )
    parser.add_argument("--wallets", type=int, help="the first N training records (default: all)")
    parser.add_argument("--cohort", type=int, help="wallets per round (default: the plan's)")
    parser.add_argument("--rounds", type=int, help="default: the plan's")
    parser.add_argument("--learning-rate", type=float, help="of the server (default: the plan's)")
    parser.add_argument("--development-cohort", type=int, help="a labelled cohort below the minimum")
    parser.add_argument("--dropouts", type=float, default=0.0, help="share of each cohort that vanishes")
    parser.add_argument(
        "--held-out",
        action="store_true",
        help="judge by a quarter of the training records, not the test split",
    )
    parser.add_argument("--asked", action="store_true", help="over-select as a site does, and all come")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds in a row")
    options = parser.parse_args(arguments)
    runs = []
    try:
        for seed in range(options.seed, options.seed + options.seeds):
            data = _data(options, seed)
            plan = _plan(options, len(data.train))
            runs.append(learn(data, plan, seed=seed, dropouts=options.dropouts, asked=options.asked))
    except (DatasetError, PlanError) as error:
        print(error, file=sys.stderr)
        return 2
    print(
        f"{data.name}: {len(data.train)} wallets, cohort {plan.cohort}, {plan.rounds} rounds, server {plan.optimiser} "
        f"{plan.learning_rate_micro / 1e6:g}, {runs[0].visits / len(data.train):.1f} visits a wallet, {len(runs)} seed(s), "
        f"noise floor {min(run.noise_floor for run in runs):.4f} × clip, {sum(run.seconds for run in runs):.0f} s"
    )
    for name, pick in (("accuracy", _accuracy), ("AUC", _auc), ("log-loss", _log_loss)):
        print(_line(name, runs, pick))
    return 0


def _accuracy(found: Metrics) -> float:
    return found.accuracy


def _auc(found: Metrics) -> float:
    return found.auc


def _log_loss(found: Metrics) -> float:
    return found.log_loss


if __name__ == "__main__":
    sys.exit(main())
