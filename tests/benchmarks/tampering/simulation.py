"""One job with tampering wallets: cohorts, buckets drawn afresh in every round, a robust rule, evidence, exclusion.

Everything that touches a number is the system's own: gradients of the sandbox's forward pass, `aggregation.privacy.pipeline`, the
rules and the evidence of `aggregation.tampering`, the server's step.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aggregation.privacy import noise, pipeline
from aggregation.privacy.stream import words64
from aggregation.secagg.messages.header import Header
from aggregation.tampering.offenders import Account, together
from aggregation.tampering.rules import Combined, combine
from collectives.terms.algorithm import output_length, parse_manifest
from collectives.training.init import initial_weights
from collectives.training.net import predict
from collectives.training.update import ServerState, step
from tests.benchmarks.learning.data import People
from tests.benchmarks.learning.engine import Run, protected, quality
from tests.benchmarks.learning.gradients import updates
from tests.benchmarks.learning.headers import header_of, seeded
from tests.benchmarks.tampering.attacks import Attack, trigger_of, with_trigger

Floats = NDArray[np.float64]
RELEASE_MIN = 100
BUCKET_MIN = {50: 38, 25: 20}
CLIP, RATE = 2.0, 0.2


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A job of `rounds` rounds of `cohort` of the first `wallets` people, in buckets of `bucket`."""

    attack: Attack | None = None
    rule: str = "filter"
    bucket: int = 50
    wallets: int = 2000
    cohort: int = 1000
    rounds: int = 40

    @property
    def name(self) -> str:
        who = f"{self.attack.name}, {self.attack.share:.1%}" if self.attack else "nobody"
        return f"{who}; {self.rule}, buckets of {self.bucket}"


@dataclass
class Found:
    """What came of it. `excluded`, `accused_wrongly`: wallets. `after`: visits of those found, on average, until they were."""

    accuracy: float
    auc: float
    backdoor: float
    stood_out: float
    with_attacker: float
    middle: float
    hostile: int
    excluded: int
    accused_wrongly: int
    after: float
    seconds: float


class Simulation:
    """One setting with one seed; `train` is the whole of it."""

    def __init__(self, setting: Setting, people: People, seed: int) -> None:
        self.setting, self.people, self.seed = setting, people, seed
        run = Run(name="tampering", rounds=setting.rounds, cohort=setting.cohort, clip=CLIP, rate=RATE)
        self.manifest = parse_manifest(people.manifest(run))
        self.rng = seeded(f"tampering:{setting.name}:{seed}")
        self.job = hashlib.sha256(f"tampering:{seed}".encode()).digest()[:16]
        self.state = ServerState.start(initial_weights(self.manifest, self.job))
        self.hostile = self._hostile()
        self.trigger = trigger_of(people.x, people.y)
        self.poisoned = with_trigger(people.x[: setting.wallets], self.trigger)
        self.drawn = np.zeros(setting.wallets, dtype=np.int64)
        self.visits = np.zeros(setting.wallets, dtype=np.int64)
        self.accounts: dict[int, Account] = {}
        self.excluded: dict[int, int] = {}
        self._counts = np.zeros(3)

    def train(self) -> Found:
        started = time.process_time()
        for number in range(1, self.setting.rounds + 1):
            self._round(number)
        accuracy, auc, _ = quality(self.manifest, self.state.weights, self.people)
        found = {one for one in self.excluded if self.hostile[one]}
        buckets = self.setting.rounds * (self.setting.cohort // self.setting.bucket)
        return Found(
            accuracy=accuracy,
            auc=auc,
            backdoor=self._backdoor(),
            stood_out=self._counts[0] / buckets,
            with_attacker=self._counts[1] / buckets,
            middle=self._counts[2] / self.setting.rounds,
            hostile=int(self.hostile.sum()),
            excluded=len(found),
            accused_wrongly=len(self.excluded) - len(found),
            after=float(np.mean([self.excluded[one] for one in found])) if found else 0.0,
            seconds=time.process_time() - started,
        )

    def _hostile(self) -> NDArray[np.bool_]:
        chosen = np.zeros(self.setting.wallets, dtype=bool)
        if self.setting.attack:
            order = self._order("hostile", self.setting.wallets)
            chosen[order[: round(self.setting.attack.share * self.setting.wallets)]] = True
        return chosen

    def _order(self, what: str, size: int) -> NDArray[np.int64]:
        key = hashlib.sha256(f"{what}:{self.seed}".encode()).digest()[:16]
        return np.argsort(words64(key, size), kind="stable")

    def _round(self, number: int) -> None:
        cohort = self._cohort(number)
        header = self._header(number)
        values = self._answers(cohort, header)
        places = np.array_split(
            self._order(f"buckets:{number}", len(cohort)), len(cohort) // self.setting.bucket
        )
        sums = np.stack([values[place].sum(axis=0) for place in places])
        counts = [len(place) for place in places]
        made = combine(sums, counts, rule=self.setting.rule, least=RELEASE_MIN)
        self._weigh(cohort, places, counts, made)
        mean = pipeline.recover(made.total, count=made.count, fraction_bits=header.f, d=header.d)
        self.state = step(
            self.state,
            mean,
            optimiser="adam",
            learning_rate_micro=round(RATE * 1e6),
            decay_rounds=self.setting.rounds,
        )

    def _cohort(self, number: int) -> NDArray[np.int64]:
        """Fewest visits first, then by lot; nobody who is excluded."""
        lot = np.empty(self.setting.wallets, dtype=np.int64)
        lot[self._order(f"draw:{number}", self.setting.wallets)] = np.arange(self.setting.wallets)
        chosen = np.lexsort((lot, self.drawn))[: self.setting.cohort]
        self.drawn[chosen] += 1
        self.visits[chosen] += 1
        return chosen

    def _header(self, number: int) -> Header:
        bucket_min = BUCKET_MIN[self.setting.bucket]
        return header_of(
            self.manifest,
            job=self.job,
            number=number,
            weights=self.state.weights,
            noise_micro=noise.floor_share_micro(self.manifest.output.clip_micro, bucket_min),
            value_bits=24,
            fraction_bits=16,
            bucket_size=self.setting.bucket,
            bucket_min=bucket_min,
            release_min=RELEASE_MIN,
        )

    def _answers(self, cohort: NDArray[np.int64], header: Header) -> NDArray[np.int64]:
        people, attack = self.people, self.setting.attack
        values = np.empty((len(cohort), output_length(self.manifest)), dtype=np.int64)
        for start, raw in _chunks(
            updates(self.manifest, self.state.weights, people.x, people.y, list(cohort))
        ):
            values[start : start + len(raw)] = protected(raw, header, self.rng)
        bad = np.nonzero(self.hostile[cohort])[0]
        if attack and bad.size:
            x, y = (
                (self.poisoned, np.ones_like(people.y)) if attack.kind == "backdoor" else (people.x, people.y)
            )
            for start, raw in _chunks(updates(self.manifest, self.state.weights, x, y, list(cohort[bad]))):
                values[bad[start : start + len(raw)]] = attack.answers(raw, header, self.rng)
        return values

    def _weigh(
        self, cohort: NDArray[np.int64], places: list[NDArray[np.int64]], counts: list[int], made: Combined
    ) -> None:
        """As the aggregator does after a round (`aggregation.server.services.tampering`)."""
        poisoned = [bool(self.hostile[cohort[place]].any()) for place in places]
        self._counts += (len(made.flagged), sum(poisoned), made.middle)
        if not made.judged:
            return
        share = sum(counts[place] for place in made.flagged) / sum(counts)
        chance = together(sum(counts), max(counts))
        for index, place in enumerate(places):
            hit = index in made.flagged
            for wallet in cohort[place].tolist():
                account = self.accounts.get(wallet)
                if account is None:
                    if hit:
                        self.accounts[wallet] = Account()
                    continue
                self.accounts[wallet] = account = account.after(hit=hit, share=share, chance=chance)
                if account.accused and wallet not in self.excluded:
                    self.excluded[wallet] = int(self.visits[wallet])
                    self.drawn[wallet] = 1 << 40

    def _backdoor(self) -> float:
        """Share of the test people who have the answer no and are told yes once they wear the trigger."""
        negative = self.people.y_test[:, 0] < 0.5
        worn = with_trigger(self.people.x_test, self.trigger)[negative]
        return float((predict(self.manifest, self.state.weights, worn)[:, 0] > 0.5).mean())


def _chunks(parts: Iterator[tuple[NDArray[np.int_], Floats]]) -> Iterator[tuple[int, Floats]]:
    """Where each chunk of updates begins, and the chunk."""
    start = 0
    for _, raw in parts:
        yield start, raw
        start += len(raw)


def as_record(setting: Setting, seed: int, found: Found) -> dict[str, Any]:
    """For the cache and the page."""
    about = asdict(setting)
    return {"setting": about, "name": setting.name, "seed": seed, **asdict(found)}
