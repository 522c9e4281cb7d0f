"""What a visit costs at least: parts of it that every visit has, each measured with nothing around it.

The secure aggregation of a round without sockets, stores, training, ledger or checks of terms; and the sandboxed process of a visit without
any of the rest. What two processors bear of these alone is the most they bear of visits.
"""

from __future__ import annotations

import asyncio
import os
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np

from aggregation.wire import cbor
from collectives.terms.algorithm import parameter_count, parse_manifest
from collectives.terms.canonical import canonical
from marketplace.demo import job_performance
from marketplace.demo.seed_example.costs import of_trees
from tests.benchmarks.secagg.parties import Measured, Setting, play
from wallets.agent.payload import encode_job, open_payload
from wallets.agent.sandbox.launcher import Launcher, TrainJob

WALLETS, REPEATS = 300, 3
"""Six buckets."""
VISITS = 200
PROCESSORS = 2


def measure() -> dict[str, Any]:
    """CPU milliseconds of a visit's parts, and how many visits a second two processors would bear of them.

    A wallet by itself checks all it is sent; wallets of a packed host look once at equal bytes. Both make their own keys, masks and shares.
    """
    job = example_job()
    own, hosted = (_rounds(job.dimension, shared=shared) for shared in (False, True))
    wallet = median(made.client for made in own)
    packed = median(made.client_mean for made in hosted)
    aggregator = median(made.server_cpu for made in (*own, *hosted)) / WALLETS
    worker = asyncio.run(worker_seconds(job))
    return {
        "wallets": WALLETS,
        "d": job.dimension,
        "wallet_cpu_ms": round(1000 * wallet, 2),
        "hosted_wallet_cpu_ms": round(1000 * packed, 2),
        "aggregator_cpu_ms": round(1000 * aggregator, 2),
        "worker_cpu_ms": round(1000 * worker, 2),
        "most_visits_per_s": round(PROCESSORS / (wallet + aggregator + worker)),
        "most_packed_visits_per_s": round(PROCESSORS / (packed + aggregator)),
    }


def _rounds(length: int, *, shared: bool) -> list[Measured]:
    return [play(Setting(n=WALLETS, d=length, lost=0, shared=shared)) for _ in range(REPEATS)]


def example_job() -> TrainJob:
    """One person's visit in the founding example: one record, one gradient of the small net."""
    required = job_performance.requirement()
    body = canonical(job_performance.manifest(required))
    weights = np.zeros(parameter_count(parse_manifest(body)), "<f4").tobytes()
    task: Any = SimpleNamespace(round=1)
    (person,) = job_performance.people(1, seed=1)
    payload = open_payload(cbor.encode({"manifest": body, "weights": weights}), task)
    return encode_job(payload, person, required, bytes(32))


async def worker_seconds(job: TrainJob) -> float:
    """CPU seconds of one visit's process: asking for it, forking, confining, training, ending, taking the answer."""
    launcher = Launcher()
    await launcher.start()
    try:
        await launcher.train(job)
        before = _spent()
        for _ in range(VISITS):
            await launcher.train(job)
        return (_spent() - before) / VISITS
    finally:
        await launcher.close()


def _spent() -> float:
    """Of this process, the sandbox's parent and every fork that ended."""
    return of_trees({"all": os.getpid()})["all"].cpu
