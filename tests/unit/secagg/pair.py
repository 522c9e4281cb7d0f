"""Both ends of a round with a fake wire between them: real clients, the real round server, a distributor that signs.

`Wire` runs the phases one by one; a test decides who falls silent when, and may change any message on its way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from aggregation.secagg.client import SecAggClient
from aggregation.secagg.errors import Abort
from aggregation.secagg.messages import Enrolment, Header, ListsRequest, PhaseSeconds, SurvivorsRequest
from aggregation.secagg.phases import BucketPhase
from aggregation.secagg.server import BucketServer, MemberLog, RoundServer, RoundSum, cohort_randomness
from aggregation.wire import signing
from aggregation.wire.once import Once, always
from aggregation.wire.secret import Secret

JOB, COLLECTIVE = bytes(range(16)), bytes(range(16, 32))
NOW, EXPIRES = 1_800_000_000, 1_800_100_000
MANIFEST = hashlib.sha256(b"manifest").digest()
CHECKPOINT = hashlib.sha256(b"checkpoint").digest()


class Entropy:
    """A deterministic `rng`: SHAKE-256 over a seed and a counter of calls."""

    def __init__(self, seed: object) -> None:
        self._seed, self._count = repr(seed).encode(), 0

    def __call__(self, length: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(self._seed + b"/" + self._count.to_bytes(8, "big")).digest(length)


@lru_cache(maxsize=1)
def distributor() -> Secret:
    return signing.generate(Entropy("distributor"))


@lru_cache(maxsize=1024)
def job_key(i: int) -> Secret:
    return signing.generate(Entropy(("job key", i)))


@lru_cache(maxsize=1024)
def enrolment(i: int, *, job: bytes = JOB, expires: int = EXPIRES) -> Enrolment:
    return Enrolment.sign(
        signing.generate(Entropy(("subscription", i))),
        job=job,
        collective=COLLECTIVE,
        manifest_hash=MANIFEST,
        job_key=signing.public_key(job_key(i)),
        expires=expires,
    )


@lru_cache(maxsize=64)
def member_log(size: int) -> MemberLog:
    return MemberLog(job=JOB, enrolments=[enrolment(i) for i in range(size)])


def header(**changes: Any) -> Header:
    """A development header for small rounds."""
    log = changes.pop("log", None) or member_log(changes.pop("log_members", 8))
    fields: dict[str, Any] = {
        "job": JOB,
        "round": 1,
        "manifest_hash": MANIFEST,
        "checkpoint_hash": CHECKPOINT,
        "d": 5,
        "q": 16,
        "f": 10,
        "clip_micro": 1_000_000,
        "noise_micro": 20_000,
        "bucket_size": 5,
        "bucket_min": 2,
        "release_min": 2,
        "threshold_ppm": 510_000,
        "log_root": log.root,
        "log_size": log.size,
        "distributor_key": signing.public_key(distributor()),
        "deadlines": PhaseSeconds(advertise=60, share_keys=30, masked_input=60, consistency=30, unmask=30),
        "development": True,
    }
    return Header(**{**fields, **changes})


class Notes:
    """The durable note of what was revealed: survives a client, as a store would."""

    def __init__(self) -> None:
        self.noted: set[tuple[bytes, int]] = set()

    def __call__(self, job: bytes, round_: int) -> bool:
        if (job, round_) in self.noted:
            return False
        self.noted.add((job, round_))
        return True


def client(
    head: Header, i: int, *, seed: object = 0, notes: Notes | None = None, **options: Any
) -> SecAggClient:
    return SecAggClient(
        head, job_key(i), rng=Entropy((seed, "wallet", i)), note_revealed=notes or Notes(), **options
    )


def nobody(_: int) -> bool:
    return False


@dataclass
class Wire:
    """A round with wallets 0 … n − 1. `gone[phase]` names wallets that say nothing from that phase on."""

    head: Header
    n: int
    seed: object = 0
    gone: Mapping[str, Collection[int]] = field(default_factory=dict)
    updates: np.ndarray | None = None
    late: Collection[int] = ()
    """Wallets whose masked input arrives after the survivors were signed."""
    verify_sample: int | None = 8
    remembered: Once = always

    def __post_init__(self) -> None:
        log = member_log(max(self.n, self.head.log_size))
        assert (log.root, log.size) == (self.head.log_root, self.head.log_size)
        randomness = cohort_randomness([i.to_bytes(16, "big") for i in range(self.n)])
        self.round = RoundServer(self.head, log=log, randomness=randomness)
        self.notes = [Notes() for _ in range(self.n)]
        self.clients = [
            client(
                self.head,
                i,
                seed=self.seed,
                notes=self.notes[i],
                verify_sample=self.verify_sample,
                remembered=self.remembered,
            )
            for i in range(self.n)
        ]
        self.keys = [signing.public_key(job_key(i)) for i in range(self.n)]
        if self.updates is None:
            self.updates = random_updates(self.head, self.n, self.seed)
        self.sent: dict[str, dict[int, bytes]] = {}
        self.silent: set[int] = set()

    def talking(self, phase: str) -> list[int]:
        self.silent |= set(self.gone.get(phase, ()))
        return [i for i in range(self.n) if i not in self.silent and not self.clients[i].closed]

    def bucket_of(self, i: int) -> BucketServer:
        return self.round.locate(self.keys[i])[0]

    def advertise(self) -> None:
        self.sent["advertise"] = {i: self.clients[i].advertise() for i in self.talking("advertise")}
        for i, data in self.sent["advertise"].items():
            self.round.receive_advertise(data, now=NOW, sender=self.keys[i])

    def sign_lists(self) -> None:
        request = ListsRequest.from_bytes(self.round.close_advertise())
        request.check_assignment(self.head)
        self.lists = self.round.lists_signed(request.sign(distributor()))

    def share_keys(self) -> None:
        listed = [i for i in self.talking("share_keys") if self.keys[i] in self.lists]
        self.sent["share_keys"] = {
            i: self.clients[i].receive_list(self.lists[self.keys[i]], now=NOW) for i in listed
        }
        for i, data in self.sent["share_keys"].items():
            self.bucket_of(i).receive_share_keys(data, sender=self.keys[i])

    def close_shares(self) -> None:
        self.bundles: dict[bytes, bytes] = {}
        for bucket in self.round.buckets:
            try:
                for position, data in bucket.close_shares().items():
                    self.bundles[bucket.bucket.members[position].job_key] = data
            except Abort:
                continue

    def masked_input(self) -> None:
        assert self.updates is not None
        self.sent["masked_input"] = {}
        for i in self.talking("masked_input"):
            if self.keys[i] in self.bundles:
                self.clients[i].receive_shares(self.bundles[self.keys[i]])
                self.sent["masked_input"][i] = self.clients[i].mask(self.updates[i])
        for i, data in self.sent["masked_input"].items():
            if i not in self.late:
                self.bucket_of(i).receive_masked(data, sender=self.keys[i])

    def sign_survivors(self) -> None:
        request = SurvivorsRequest.from_bytes(self.round.close_inputs())
        self.survivors = self.round.survivors_signed(request.sign(distributor()))

    def in_survivors(self, i: int) -> bool:
        bucket, position = self.round.locate(self.keys[i])
        return bucket.bucket.index in self.survivors and position in bucket.included

    def consistency(self) -> None:
        self.sent["consistency"] = {}
        for i in self.talking("consistency"):
            if self.in_survivors(i):
                data = self.survivors[self.bucket_of(i).bucket.index]
                self.sent["consistency"][i] = self.clients[i].receive_survivors(data)
                self.bucket_of(i).receive_consistency(self.sent["consistency"][i], sender=self.keys[i])

    def close_consistency(self) -> None:
        self.agreements: dict[bytes, bytes] = {}
        for bucket in self.round.buckets:
            try:
                if bucket.phase is BucketPhase.CONSISTENCY:
                    for position, data in bucket.close_consistency().items():
                        self.agreements[bucket.bucket.members[position].job_key] = data
            except Abort:
                continue

    def unmask(self) -> None:
        self.sent["unmask"] = {}
        for i in self.talking("unmask"):
            if self.keys[i] in self.agreements:
                self.sent["unmask"][i] = self.clients[i].receive_consistency(self.agreements[self.keys[i]])
                self.bucket_of(i).receive_unmask(self.sent["unmask"][i], sender=self.keys[i])

    STEPS = (
        "advertise",
        "sign_lists",
        "share_keys",
        "close_shares",
        "masked_input",
        "sign_survivors",
        "consistency",
        "close_consistency",
        "unmask",
    )

    def until(self, last: str) -> Wire:
        """Run the steps up to and including `last`."""
        for step in self.STEPS[: self.STEPS.index(last) + 1]:
            getattr(self, step)()
        return self

    def run(self, executor: Any = None) -> RoundSum:
        self.until("unmask")
        return self.round.release(executor)

    def plain_sum(self, bucket: BucketServer) -> np.ndarray:
        """The sum of the updates of exactly the bucket's survivors, computed in the clear."""
        assert self.updates is not None
        inside = [
            i
            for i in range(self.n)
            if self.keys[i] in {bucket.bucket.members[p].job_key for p in bucket.included}
        ]
        return self.updates[inside].sum(axis=0)


def random_updates(head: Header, n: int, seed: object = 0) -> np.ndarray:
    bound = 1 << (head.q - 1)
    raw = np.frombuffer(Entropy((seed, "updates"))(8 * n * head.padded_d), dtype=np.uint64)
    return (raw % np.uint64(2 * bound)).astype(np.int64).reshape(n, head.padded_d) - bound


Change = Callable[[dict[str, Any]], None]
