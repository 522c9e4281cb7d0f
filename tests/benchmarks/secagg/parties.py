"""One round in one process with every party on a clock of its own: process CPU seconds, by party and phase.

Messages travel as bytes and are parsed and verified by who receives them. A wallet starts each step without knowing any key: what
the process remembers of checked keys is forgotten first, as a wallet in a process of its own would. (`Setting.shared`: the wallets are of one
host and look once at equal bytes, as `wallets.host` does.) The aggregator knows the job
keys it checked when they enrolled, before the round. Before every step what is alive is frozen, so that the collector of one
party does not walk the objects of another; Flower's benchmark does the same.
"""

from __future__ import annotations

import gc
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from statistics import median

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from aggregation.secagg.client import SecAggClient
from aggregation.secagg.messages import Header, ListsRequest, SurvivorsRequest
from aggregation.secagg.parameters import Parameters
from aggregation.secagg.server import RoundServer, RoundSum, cohort_randomness
from aggregation.wire import once, signing
from aggregation.wire.once import Once, Remembered
from tests.benchmarks.secagg.semi_honest import SemiHonestHeaderForBenchmarksOnly
from tests.unit.secagg.pair import NOW, Notes, distributor, enrolment, job_key, member_log
from tests.unit.secagg.pair import header as small_header

Integers = np.ndarray
PHASES = ("advertise", "share_keys", "masked_input", "consistency", "unmask", "release")
PRODUCTION_BUCKET, PRODUCTION_THRESHOLD = 50, 38
REMEMBERED = 4096
"""As a host's."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is measured: n wallets, vectors of d, `lost` wallets silent after sharing keys.

    `k` = 0: buckets of 50, complete, t = 38. Otherwise one bucket, circulant (complete when k ≥ n − 1) with threshold t.
    `shared`: the wallets are packed in one host.
    """

    n: int
    d: int
    lost: int
    k: int = 0
    t: int = PRODUCTION_THRESHOLD
    ring_bits: int = 32
    q: int = 0
    sample: int | None = 8
    shared: bool = False

    def header(self) -> Header:
        one_bucket = bool(self.k)
        complete = not one_bucket or self.k >= self.n - 1
        size = self.n if one_bucket else PRODUCTION_BUCKET
        degree = size - 1 if complete else self.k
        base = small_header(
            log=member_log(self.n),
            d=self.d,
            ring_bits=self.ring_bits,
            q=self.q or self.ring_bits - (max(size, 45) - 1).bit_length(),
            bucket_size=size,
            bucket_min=20,
            release_min=20,
            graph="complete" if complete else "circulant",
            k=0 if complete else self.k,
        )
        ppm = Parameters(k=degree, threshold=self.t).threshold_ppm
        values = {field.name: getattr(base, field.name) for field in fields(base)}
        kind = Header if 2 * self.t > degree + 1 else SemiHonestHeaderForBenchmarksOnly
        return kind(**{**values, "threshold_ppm": ppm})


@dataclass(kw_only=True)
class Measured:
    """CPU seconds. `server` by phase, `client` and `upload` the medians over the wallets that stayed to the end; `client_mean` is what all
    wallets took, divided, for where one of them does what others are spared."""

    server: dict[str, float]
    client: float
    client_mean: float
    upload: int
    count: int

    @property
    def server_cpu(self) -> float:
        return sum(self.server.values())


class Clocks:
    def __init__(self, *, shared: bool = False) -> None:
        self._shared = shared
        self.server: dict[str, float] = defaultdict(float)
        self.clients: dict[int, float] = defaultdict(float)
        self.sent: dict[int, int] = defaultdict(int)

    @contextmanager
    def serving(self, phase: str) -> Iterator[None]:
        gc.freeze()
        began = time.process_time()
        yield
        self.server[phase] += time.process_time() - began

    def wallet(self, i: int, step: Callable[[], bytes | None]) -> bytes:
        """Run a wallet's step on its clock, without what other wallets left in the process's memory unless they share it."""
        if not self._shared:
            signing._is_usable.cache_clear()
        gc.freeze()
        began = time.process_time()
        answer = step() or b""
        self.clients[i] += time.process_time() - began
        self.sent[i] += len(answer)
        return answer


def updates(n: int, d: int, bits: int) -> Integers:
    """int64 [n, d], uniform over `bits` signed bits."""
    stream = Cipher(algorithms.AES128(b"benchmark stream"), modes.CTR(bytes(16))).encryptor()
    raw = np.frombuffer(stream.update(bytes(4 * n * d)), dtype="<u4").reshape(n, d)
    return (raw >> np.uint32(32 - bits)).astype(np.int64) - (1 << (bits - 1))


@dataclass
class Stage:
    """A round on its way: `play` runs all of it; the memory benchmark takes single steps."""

    setting: Setting
    clocks: Clocks = field(init=False)

    def __post_init__(self) -> None:
        n, shared = self.setting.n, self.setting.shared
        self.clocks = Clocks(shared=shared)
        remembered: Once = Remembered(REMEMBERED) if shared else once.always
        self.head = self.setting.header()
        self.keys = [signing.public_key(job_key(i)) for i in range(n)]
        self.index = {key: i for i, key in enumerate(self.keys)}
        self.round = RoundServer(
            self.head,
            log=member_log(n),
            randomness=cohort_randomness([i.to_bytes(16, "big") for i in range(n)]),
        )
        self.clients = [
            SecAggClient(
                self.head,
                job_key(i),
                rng=os.urandom,
                note_revealed=Notes(),
                verify_sample=self.setting.sample,
                remembered=remembered,
            )
            for i in range(n)
        ]
        self.lost: set[int] = set()

    def remember_enrolled(self) -> None:
        """The aggregator checked the job keys before the round; wallets in the same process made it forget."""
        for key in self.keys:
            signing.check_public_key(key)

    def advertise(self) -> None:
        sent = {i: self.clocks.wallet(i, client.advertise) for i, client in enumerate(self.clients)}
        self.remember_enrolled()
        with self.clocks.serving("advertise"):
            for i, data in sent.items():
                self.round.receive_advertise(data, now=NOW, sender=self.keys[i])
            request = self.round.close_advertise()
        signature = ListsRequest.from_bytes(request).sign(distributor())
        with self.clocks.serving("advertise"):
            self.lists = self.round.lists_signed(signature)

    def share_keys(self) -> None:
        def step(i: int) -> bytes:
            return self.clients[i].receive_list(self.lists[self.keys[i]], now=NOW)

        sent = {i: self.clocks.wallet(i, lambda i=i: step(i)) for i in range(self.setting.n)}
        self.remember_enrolled()
        self.bundles: dict[int, bytes] = {}
        with self.clocks.serving("share_keys"):
            for i, data in sent.items():
                self._bucket(i).receive_share_keys(data, sender=self.keys[i])
            for bucket in self.round.buckets:
                for position, data in bucket.close_shares().items():
                    self.bundles[self.index[bucket.bucket.members[position].job_key]] = data
        self._lose()

    def _lose(self) -> None:
        """The lost are spread evenly over the buckets, so that every bucket is one that can finish."""
        order = [self.index[m.job_key] for b in self.round.buckets for m in b.bucket.members]
        n, lost = self.setting.n, self.setting.lost
        self.lost = {order[(2 * j + 1) * n // (2 * lost)] for j in range(lost)}
        self.alive = [i for i in range(n) if i not in self.lost]

    def masked_inputs(self, rows: Callable[[int], Integers]) -> None:
        """One wallet after the other: nobody holds more than one vector."""
        for i in self.alive:
            update = rows(i)
            self.clocks.wallet(i, lambda i=i: self.clients[i].receive_shares(self.bundles[i]))
            data = self.clocks.wallet(i, lambda i=i, update=update: self.clients[i].mask(update))
            self.remember_one(i)
            with self.clocks.serving("masked_input"):
                self._bucket(i).receive_masked(data, sender=self.keys[i])

    def remember_one(self, i: int) -> None:
        signing.check_public_key(self.keys[i])

    def consistency(self) -> None:
        with self.clocks.serving("masked_input"):
            request = self.round.close_inputs()
        signature = SurvivorsRequest.from_bytes(request).sign(distributor())
        with self.clocks.serving("consistency"):
            survivors = self.round.survivors_signed(signature)

        def step(i: int) -> bytes:
            return self.clients[i].receive_survivors(survivors[self._bucket(i).bucket.index])

        sent = {i: self.clocks.wallet(i, lambda i=i: step(i)) for i in self.alive}
        self.remember_enrolled()
        self.agreements: dict[int, bytes] = {}
        with self.clocks.serving("consistency"):
            for i, data in sent.items():
                self._bucket(i).receive_consistency(data, sender=self.keys[i])
            for bucket in self.round.buckets:
                for position, data in bucket.close_consistency().items():
                    self.agreements[self.index[bucket.bucket.members[position].job_key]] = data

    def unmask(self) -> None:
        def step(i: int) -> bytes:
            return self.clients[i].receive_consistency(self.agreements[i])

        sent = {i: self.clocks.wallet(i, lambda i=i: step(i)) for i in self.alive}
        self.remember_enrolled()
        with self.clocks.serving("unmask"):
            for i, data in sent.items():
                self._bucket(i).receive_unmask(data, sender=self.keys[i])

    def release(self, executor: Executor | None = None) -> RoundSum:
        with self.clocks.serving("release"):
            return self.round.release(executor)

    def _bucket(self, i: int):  # type: ignore[no-untyped-def]
        return self.round.locate(self.keys[i])[0]

    def measured(self, count: int) -> Measured:
        return Measured(
            server={phase: self.clocks.server[phase] for phase in PHASES},
            client=median(self.clocks.clients[i] for i in self.alive),
            client_mean=sum(self.clocks.clients.values()) / self.setting.n,
            upload=int(median(self.clocks.sent[i] for i in self.alive)),
            count=count,
        )


def play(setting: Setting) -> Measured:
    """A whole round; the sum is compared with the one in the clear, to the last bit."""
    for i in range(setting.n):
        enrolment(i)
    stage = Stage(setting)
    # The rows repeat after a while, so that a thousand long vectors need not exist at once.
    pool = updates(min(setting.n, 64), setting.d, min(stage.head.q, 20))
    stage.advertise()
    stage.share_keys()
    stage.masked_inputs(lambda i: pool[i % len(pool)])
    stage.consistency()
    stage.unmask()
    result = stage.release()
    expected = np.zeros(setting.d, dtype=np.int64)
    for i in stage.alive:
        expected += pool[i % len(pool)]
    total = sum((bucket.sum for bucket in result.sums.values()), np.zeros(setting.d, dtype=np.int64))
    assert not result.failed
    assert result.count == len(stage.alive)
    assert np.array_equal(total, expected)
    return stage.measured(result.count)
