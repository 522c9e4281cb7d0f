"""What is broken while an epoch is settled: workers at each step of each transaction, the chain itself, its latest blocks."""

from __future__ import annotations

import threading
import time
from typing import Any

from tests.chaos.bench import Bench, let_go
from tests.stack.small import until

KINDS = ("settle", "fund", "push", "close")
POINTS = ("before it is sent", "after it was sent", "while its receipt is looked up", "while it is confirmed")
WORKER = "web-worker"


class KillAt:
    """Kills the settlement's worker once at each point of each kind of transaction; the call it was in is cut."""

    def __init__(self, bench: Bench) -> None:
        self._bench, self._lock = bench, threading.Lock()
        self.done: set[tuple[str, str]] = set()

    def __call__(self, method: str, parameters: list[Any], when: str) -> bool:
        point = _point(method, when)
        found = transaction(method, parameters) if point else None
        if found is None or point is None:
            return False
        kind, state = found
        if point == POINTS[2] and state == "mined":
            point = POINTS[3]
        with self._lock:
            if kind not in KINDS or (kind, point) in self.done:
                return False
            self.done.add((kind, point))
        self._bench.site.kill(WORKER)
        self._bench.struck(f"kill -9 of the settlement's worker: {kind}, {point}")
        return True


def _point(method: str, when: str) -> str | None:
    if method == "eth_sendRawTransaction":
        return POINTS[0] if when == "before" else POINTS[1]
    return POINTS[2] if method == "eth_getTransactionReceipt" and when == "after" else None


def transaction(method: str, parameters: list[Any]) -> tuple[str, str] | None:
    """(first word of its business key, its state) of the transaction a call is about. Called in threads of the chain's line."""
    from django.db import connection

    from marketplace.settlement.effects import transaction_hash
    from marketplace.settlement.models import ChainTransaction

    named = str(parameters[0])
    digest = transaction_hash(bytes.fromhex(named[2:])) if method == "eth_sendRawTransaction" else named
    try:
        row = ChainTransaction.objects.filter(hash=digest).values_list("key", "state").first()
    finally:
        connection.close()
    return (row[0].split(":")[0], row[1]) if row else None


def workers(bench: Bench, job: str) -> None:
    """The settlement's worker dies at every step of every transaction of an epoch."""
    bench.until_ended(job)
    killer = bench.site.chain_line.hook = KillAt(bench)
    until(
        lambda: bench.stack.job(job)["closed"],
        seconds=600 * bench.slow,
        what="the job to be settled",
        every=0.5,
    )
    for kind in KINDS:
        for point in POINTS:
            if (kind, point) not in killer.done:
                bench.missed(f"settlement's worker: {kind}, {point}")


def others(bench: Bench, job: str) -> None:
    """Every process but chain and settlement's worker dies as an epoch's statement is made, and as each kind of transaction was sent."""
    names = [name for name in bench.site.names() if name not in (WORKER, "chain")]
    lock, done = threading.Lock(), set[str]()

    def kill(moment: str) -> None:
        for name in names:
            bench.site.kill(name)
        bench.struck(f"kill -9 of {', '.join(names)}: {moment}")

    def hook(method: str, parameters: list[Any], when: str) -> bool:
        found = (
            transaction(method, parameters) if (method, when) == ("eth_sendRawTransaction", "after") else None
        )
        with lock:
            if found is None or found[0] not in KINDS or found[0] in done:
                return False
            done.add(found[0])
        kill(f"{found[0]}, {POINTS[1]}")
        return False

    if _stated(bench):
        kill("an epoch's statement is made")
    else:
        bench.missed("every other process as an epoch's statement is made")
    bench.site.chain_line.hook = hook
    until(
        lambda: bench.stack.job(job)["closed"],
        seconds=600 * bench.slow,
        what="the job to be settled",
        every=0.5,
    )
    for kind in KINDS:
        if kind not in done:
            bench.missed(f"every other process: {kind}, {POINTS[1]}")


def statement(bench: Bench, job: str) -> None:
    """Aggregator and settlement's worker die between the closing of an epoch at one and its pulling by the other."""
    if not _stated(bench):
        bench.missed("aggregator and settlement's worker as an epoch's statement is made")
        return
    bench.site.kill(WORKER)
    bench.site.kill("aggregator")
    bench.struck("kill -9 of aggregator and settlement's worker as an epoch's statement is made")


def _stated(bench: Bench) -> bool:
    """Wait until the aggregator closes one more epoch."""
    from aggregation.server.models import Epoch

    before = Epoch.objects.count()
    limit = time.monotonic() + 4 * bench.round_seconds
    while Epoch.objects.count() == before:
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


def chain_down(bench: Bench, job: str) -> None:
    """The chain is killed before it took a transaction and after, and does not answer for a while."""
    bench.until_ended(job)
    done: set[str] = set()

    def hook(method: str, parameters: list[Any], when: str) -> bool:
        found = transaction(method, parameters) if method == "eth_sendRawTransaction" else None
        if (
            found is None
            or (found[0], when) not in {("settle", "before"), ("push", "after")}
            or found[0] in done
        ):
            return False
        done.add(found[0])
        bench.site.kill("chain")
        bench.struck(f"kill -9 of the chain {when} it took the {found[0]} transaction")
        return True

    bench.site.chain_line.hook = hook
    until(lambda: len(done) == 2, seconds=240 * bench.slow, what="the transactions to be sent")
    with let_go(bench.site.freeze("chain")):
        time.sleep(15)
    bench.struck("the chain does not answer for fifteen seconds")


def reorganised(bench: Bench, job: str) -> None:
    """Blocks that held a transaction are replaced by others that do not, before they count as final."""
    from marketplace.settlement.models import ChainTransaction

    bench.until_ended(job)
    for kind in ("settle", "push", "close"):
        remembered = threading.Event()

        def hook(
            method: str,
            parameters: list[Any],
            when: str,
            kind: str = kind,
            done: threading.Event = remembered,
        ) -> bool:
            if method == "eth_sendRawTransaction" and when == "before" and not done.is_set():
                found = transaction(method, parameters)
                if found is not None and found[0] == kind:
                    bench.site.blocks_come.clear()
                    bench.site.remember_chain()
                    done.set()
            return False

        bench.site.chain_line.hook = hook
        until(remembered.is_set, seconds=240 * bench.slow, what=f"the {kind} transaction to be sent")
        rows = ChainTransaction.objects.filter(key__startswith=f"{kind}:", state="mined")
        limit = time.monotonic() + 60 * bench.slow
        while not rows.exists() and time.monotonic() < limit:
            time.sleep(0.1)
        bench.site.mine(2)
        undone = bench.site.forget_blocks()
        bench.site.blocks_come.set()
        bench.struck(f"the chain replaces the latest {undone} blocks, with the {kind} transaction in them")
