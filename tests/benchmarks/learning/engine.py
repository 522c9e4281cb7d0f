"""A job over all its rounds, a whole cohort at a time.

Gradients are the sandbox's forward pass mapped over wallets (`gradients`); clip, rotation, rounding, noise and the way back are
`aggregation.privacy.pipeline`, which agents run too; sums are taken as words modulo 2³² and checked against plain ones; the server's
step, the federated evaluation and the plateau rule are `collectives.training`'s.
"""

from __future__ import annotations

import hashlib
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aggregation.privacy import adaptive, clipping, noise, pipeline
from aggregation.privacy.accounting import Sampling, Statement, state
from aggregation.privacy.mechanism import Mechanism, calibrated
from aggregation.secagg.messages.header import Header
from collectives.terms.algorithm import Manifest, output_length, parse_manifest
from collectives.training import metrics, plateau, statistics
from collectives.training.baseline import train_centrally
from collectives.training.init import initial_weights
from collectives.training.net import predict
from collectives.training.update import ServerState, step
from tests.benchmarks.learning.attackers import Attack
from tests.benchmarks.learning.data import People
from tests.benchmarks.learning.draws import PoissonDraw, QuickPassDraw, sampling_for
from tests.benchmarks.learning.gradients import updates
from tests.benchmarks.learning.headers import header_of, seeded

Floats = NDArray[np.float32]
BUCKET_SIZE, BUCKET_MIN, RELEASE_MIN = 50, 38, 100
ACCEPTED = 0.95
"""Share of a known cohort below which its round is not released."""
CURVE_POINTS = 40
KEPT_EVERY = 10
MOVING = ("draw", "judges", "rng", "state", "bound", "_mean", "_averaged")
"""What of a job changes from round to round."""


@dataclass(frozen=True, kw_only=True)
class Formal:
    """A promised ε at δ. `secret`: cohorts are drawn by Poisson sampling and not told; otherwise at most `visits` per wallet."""

    epsilon: float
    delta: float = 1e-5
    secret: bool = True
    visits: int = 0


@dataclass(frozen=True, kw_only=True)
class Run:
    """One setting. Noise is the floor unless `formal` promises more; `floating` leaves out rounding and noise, for comparison."""

    name: str
    rounds: int
    cohort: int
    hidden: tuple[int, ...] = ()
    clip: float = 1.0
    rate: float = 0.2
    optimiser: str = "adam"
    decay: bool = True
    local_steps: int = 1
    local_rate: float = 0.1
    value_bits: int = 24
    fraction_bits: int = 16
    quiet: bool = False
    floating: bool = False
    dropouts: float = 0.0
    one_bucket: bool = False
    """The floor once for the whole cohort instead of once for every 50; a formal promise always has one bucket."""
    formal: Formal | None = None
    attack: Attack | None = None
    adaptive: adaptive.Rule | None = None
    plateau: plateau.Rule | None = None
    average: bool = False


@dataclass(kw_only=True)
class Result:
    """What came of a run on the test split. `curve`: (visits, accuracy, AUC) along the way."""

    accuracy: float
    auc: float
    log_loss: float
    visits: int
    rounds: int
    most_visits: int
    seconds: float
    curve: list[tuple[int, float, float]] = field(default_factory=list)
    privacy: str = ""
    clip: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What follows from a run's promise: one wallet's share, the buckets, and who is drawn."""

    share_micro: int
    bucket_size: int
    bucket_min: int
    release_min: int
    sampling: Sampling | None = None
    statement: Statement | None = None


class Job:
    """One run with one seed. `train` is the whole of it."""

    def __init__(
        self, run: Run, people: People, seed: int, multiplier: Callable[[Formal, Sampling | None], float]
    ) -> None:
        self.run, self.people = run, people
        self.manifest = parse_manifest(people.manifest(run))
        self.noise = noise_of(run, self.manifest, people.wallets, multiplier)
        sampling = self.noise.sampling
        self.draw = QuickPassDraw(people.wallets, seed) if sampling is None else PoissonDraw(sampling, seed)
        self.judges = QuickPassDraw(people.wallets, seed + 1000)
        self.rng = seeded(f"{run.name}:{seed}")
        self.job = hashlib.sha256(f"job:{seed}".encode()).digest()[:16]
        self.state = ServerState.start(initial_weights(self.manifest, self.job))
        self.bound = run.clip
        self.hostile = run.attack.wallets(people.wallets, seed) if run.attack else frozenset[int]()
        self._mean, self._averaged = np.zeros(self.state.weights.size), 0

    def train(self, progress: Path | None = None) -> Result:
        """All rounds; with `progress` every tenth is kept there, and a stopped run goes on from it."""
        started, spent, visits, done = time.process_time(), 0.0, 0, 0
        curve: list[tuple[int, float, float]] = []
        history: list[plateau.Evaluation] = []
        if progress and progress.exists():
            done, visits, curve, history, spent = self._restore(progress)
        every = max(1, self.run.rounds // CURVE_POINTS)
        number = done
        for number in range(done + 1, self.run.rounds + 1):
            cohort = self.draw.next(self.run.cohort)
            visits += len(cohort)
            self._round(number, cohort[: round(len(cohort) * (1 - self.run.dropouts))])
            if number % every == 0 or number == self.run.rounds:
                curve.append((visits, *self._quality()[:2]))
            if self.run.plateau and number % 5 == 0:
                judged, told = self._evaluate(number, set(cohort))
                visits += judged
                history.append(told)
                if plateau.reached(history, self.run.plateau):
                    break
            if progress and number % KEPT_EVERY == 0:
                so_far = spent + time.process_time() - started
                self._keep(progress, (number, visits, curve, history, so_far))
        accuracy, auc, log_loss = self._quality()
        return Result(
            accuracy=accuracy,
            auc=auc,
            log_loss=log_loss,
            visits=visits,
            rounds=number,
            most_visits=self.draw.most,
            seconds=spent + time.process_time() - started,
            curve=curve,
            privacy=self.noise.statement.words() if self.noise.statement else "",
            clip=self.bound,
        )

    def _keep(self, progress: Path, so_far: tuple[Any, ...]) -> None:
        """Written by this program and read by nobody else: a cache, not a checkpoint anybody downloads."""
        own = {name: value for name, value in vars(self).items() if name in MOVING}
        whole = progress.with_suffix(".writing")
        whole.write_bytes(pickle.dumps((own, so_far)))
        whole.replace(progress)

    def _restore(self, progress: Path) -> Any:
        own, so_far = pickle.loads(progress.read_bytes())
        vars(self).update(own)
        return so_far

    def _round(self, number: int, cohort: Sequence[int]) -> None:
        header = self._header(number)
        mean = self._floating(cohort) if self.run.floating else self._mean_of(header, cohort)
        if self.run.adaptive:
            mean, self.bound, _ = adaptive.next_bound(self.bound, mean, self.run.adaptive)
        self.state = step(
            self.state,
            mean,
            optimiser=self.run.optimiser,
            learning_rate_micro=round(self.run.rate * 1e6),
            decay_rounds=self.run.rounds if self.run.decay else 0,
        )
        if self.run.average and number > self.run.rounds // 2:
            self._averaged += 1
            self._mean += (self.state.weights - self._mean) / self._averaged

    def _header(self, number: int) -> Header:
        header = header_of(
            self.manifest,
            job=self.job,
            number=number,
            weights=self.state.weights,
            noise_micro=self.noise.share_micro,
            value_bits=self.run.value_bits,
            fraction_bits=self.run.fraction_bits,
            bucket_size=self.noise.bucket_size,
            bucket_min=self.noise.bucket_min,
            release_min=self.noise.release_min,
        )
        if self.run.adaptive is None:
            return header
        clip = round(self.bound * self.run.adaptive.sensitivity_factor * 1e6) + 1
        share = 0 if self.run.quiet else noise.floor_share_micro(clip, header.bucket_min)
        return replace(header, d=header.d + 1, clip_micro=clip, noise_micro=share)

    def _mean_of(self, header: Header, cohort: Sequence[int]) -> NDArray[np.float64]:
        total, words = np.zeros(header.d, dtype=np.int64), np.zeros(header.d, dtype=np.uint32)
        for part, raw in updates(self.manifest, self.state.weights, self.people.x, self.people.y, cohort):
            honest = adaptive.with_indicator(raw, self.bound, self.run.adaptive) if self.run.adaptive else raw
            values = protected(honest, header, self.rng)
            self._tamper(part, raw, values, header)
            total += values.sum(axis=0)
            words += values.astype(np.uint32).sum(axis=0, dtype=np.uint32)
        check_ring(total, words)
        return pipeline.recover(total, count=len(cohort), fraction_bits=header.f, d=header.d)

    def _tamper(
        self, part: Sequence[int], raw: NDArray[np.float64], values: NDArray[np.int64], header: Header
    ) -> None:
        for place, wallet in enumerate(part):
            if self.run.attack and int(wallet) in self.hostile:
                values[place] = self.run.attack.answer(raw[place], header, self.rng)

    def _floating(self, cohort: Sequence[int]) -> NDArray[np.float64]:
        total = np.zeros(self.state.weights.size)
        for _, raw in updates(self.manifest, self.state.weights, self.people.x, self.people.y, cohort):
            total += clipping.clip(raw, self.run.clip).sum(axis=0)
        return total / len(cohort)

    def _quality(self) -> tuple[float, float, float]:
        weights = self._mean.astype(np.float32) if self._averaged else self.state.weights
        return quality(self.manifest, weights, self.people)

    def _evaluate(self, number: int, training: set[int]) -> tuple[int, plateau.Evaluation]:
        """(visits, what a cohort that does not train says of the model), through the same clip, rounding and noise."""
        document = self.people.evaluation(self.run)
        manifest = parse_manifest(document)
        cohort = [one for one in self.judges.next(self.run.cohort) if one not in training]
        scores = predict(manifest, self.state.weights, self.people.x[cohort]).astype(np.float64)
        answers = np.stack(
            [
                statistics.evaluation(
                    manifest, scores[i : i + 1], self.people.y[j : j + 1].astype(np.float64)
                )
                for i, j in enumerate(cohort)
            ]
        )
        header = header_of(
            manifest,
            job=self.job,
            number=number,
            weights=self.state.weights,
            noise_micro=noise.floor_share_micro(manifest.output.clip_micro, BUCKET_MIN),
            value_bits=24,
            fraction_bits=16,
            bucket_size=BUCKET_SIZE,
            bucket_min=BUCKET_MIN,
            release_min=RELEASE_MIN,
        )
        sent = protected(answers, header, self.rng)
        mean = pipeline.recover(sent.sum(axis=0), count=len(cohort), fraction_bits=header.f, d=header.d)
        loss = statistics.result(manifest, mean)["log_loss"]
        noisy = header.noise_micro / 1e6 * statistics.LOSS_UNIT
        # The spread of single losses is public knowledge about the loss, not about these wallets: half a nat covers it.
        return len(cohort), plateau.Evaluation(loss=loss, error=((0.25 + noisy**2) / len(cohort)) ** 0.5)


def protected(raw: NDArray[np.float64], header: Header, rng: Callable[[int], bytes]) -> NDArray[np.int64]:
    """What an agent's output contract makes of these updates, [n, d]."""
    return pipeline.protect(
        raw,
        clip_micro=header.clip_micro,
        noise_micro=header.noise_micro,
        value_bits=header.q,
        fraction_bits=header.f,
        rng=rng,
        rotation_seed=header.rotation_seed,
    )


def check_ring(total: NDArray[np.int64], words: NDArray[np.uint32]) -> None:
    """The sum in the ring is the sum. A whole cohort's needs more room than its buckets', so this is the stricter check."""
    if not np.array_equal(words.view(np.int32), total):
        raise AssertionError("a sum wrapped around 2^32")


def quality(manifest: Manifest, weights: Floats, people: People) -> tuple[float, float, float]:
    """(accuracy, AUC, log-loss) on the test split; for one yes-or-no output."""
    labels = people.y_test.astype(np.float64)[:, 0]
    scores = predict(manifest, weights, people.x_test).astype(np.float64)[:, 0]
    return metrics.accuracy(labels, scores), metrics.auc(labels, scores), metrics.log_loss(labels, scores)


def central(run: Run, people: People) -> Result:
    """The yardstick: the run's model trained with all records in one place, to convergence."""
    manifest = parse_manifest(people.manifest(run))
    accuracy, auc, log_loss = quality(manifest, train_centrally(manifest, people.x, people.y), people)
    return Result(
        accuracy=accuracy, auc=auc, log_loss=log_loss, visits=0, rounds=0, most_visits=0, seconds=0.0
    )


def noise_of(
    run: Run, manifest: Manifest, wallets: int, multiplier: Callable[[Formal, Sampling | None], float]
) -> Noise:
    """The floor on buckets of 50 or on one per cohort, or the calibrated share on one bucket per cohort."""
    clip, d = manifest.output.clip_micro, output_length(manifest)
    if run.formal is None:
        size, least, release = BUCKET_SIZE, BUCKET_MIN, RELEASE_MIN
        if run.one_bucket:
            size, least = run.cohort, round(run.cohort * ACCEPTED)
            release = max(release, least)
        share = 0 if run.quiet else noise.floor_share_micro(clip, least)
        return Noise(share_micro=share, bucket_size=size, bucket_min=least, release_min=release)
    promise = run.formal
    sampling = sampling_for(wallets=wallets, cohort=run.cohort, rounds=run.rounds) if promise.secret else None
    least = sampling.least if sampling else round(run.cohort * ACCEPTED)
    mechanism = calibrated(
        multiplier(promise, sampling),
        clip_micro=clip,
        wallets=least,
        coordinates=d,
        fraction_bits=run.fraction_bits,
    )
    _check_headroom(run, mechanism)
    visits = promise.visits or run.rounds
    statement = state(
        mechanism, release_min=least, bucket_min=least, visits=visits, delta=promise.delta, sampling=sampling
    )
    if statement.consumer > promise.epsilon + 1e-3:
        raise AssertionError(f"{run.name} promises ε {promise.epsilon}, but: {statement.words()}")
    return Noise(
        share_micro=mechanism.share_micro,
        bucket_size=sampling.cap if sampling else run.cohort,
        bucket_min=least,
        release_min=least,
        sampling=sampling,
        statement=statement,
    )


def _check_headroom(run: Run, mechanism: Mechanism) -> None:
    if not mechanism.never_clamped(run.value_bits):
        raise AssertionError(f"{run.name}: {run.value_bits} bits could clamp a noised value")


def as_record(result: Result) -> dict[str, Any]:
    """For the cache."""
    return {name: getattr(result, name) for name in Result.__dataclass_fields__}
