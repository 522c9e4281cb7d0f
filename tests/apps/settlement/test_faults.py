"""Exactly once, whatever fails: kills before and after every step, a second worker in between, an endpoint that times out, repeats,
forgets and lies, fee bumps, restarts of the node, reorganisations of depth 3."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from marketplace.settlement import outbox, selectors, services
from marketplace.settlement.chain import Chain, Receipt
from marketplace.settlement.errors import ChainRefused, ChainUnavailable
from marketplace.settlement.models import ChainTransaction, Payout, SettlementEpoch
from tests.apps.settlement.conftest import RATE, TOKEN, ChainProcess, Ledger, OpenJob
from tests.apps.settlement.kills import Killed

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "distributor", "aggregator"])
RECIPIENTS = 4
DEEPEST = 3
"""Blocks that a reorganisation undoes; with one more confirmation than that nothing final is ever undone."""


class Faults:
    """Draws what goes wrong, counts it, and can be told to stop."""

    def __init__(self, seed: int, rate: float) -> None:
        self._rng, self._rate = random.Random(seed), rate
        self.happened: Counter[str] = Counter()
        self.deep = False

    def strikes(self, name: str) -> bool:
        hit = self._rng.random() < self._rate
        self.happened[name] += hit
        return hit

    def choose(self, options: list[int]) -> int:
        return self._rng.choice(options)


class FaultyChain:
    """The real endpoint, with everything between it and the outbox going wrong now and then."""

    def __init__(self, real: Chain, faults: Faults) -> None:
        self._real, self._faults = real, faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def _trouble(self, call: str) -> None:
        if self._faults.strikes(f"kill before {call}"):
            raise Killed
        if self._faults.strikes(f"timeout before {call}"):
            raise ChainUnavailable("timeout")
        if not self._faults.deep and self._faults.strikes(f"second worker during {call}"):
            self._faults.deep = True
            try:
                outbox.sweep()
            finally:
                self._faults.deep = False

    def fees(self) -> tuple[int, int]:
        self._trouble("fees")
        return self._real.fees()

    def nonce(self, address: str) -> int:
        self._trouble("nonce")
        found = self._real.nonce(address)
        return max(0, found + self._faults.choose([-1, 1])) if self._faults.strikes("nonce lie") else found

    def send(self, raw: bytes) -> None:
        self._trouble("send")
        if self._faults.strikes("send lie"):
            raise ChainRefused("already known", known=True)
        self._real.send(raw)
        if self._faults.strikes("duplicate send"):
            with pytest.raises(ChainRefused):
                self._real.send(raw)
        if self._faults.strikes("kill after send"):
            raise Killed
        if self._faults.strikes("timeout after send"):
            raise ChainUnavailable("timeout")

    def receipt(self, digest: str) -> Receipt | None:
        self._trouble("receipt")
        found = self._real.receipt(digest)
        if self._faults.strikes("kill after receipt"):
            raise Killed
        return None if self._faults.strikes("receipt forgotten") else found


def dying(name: str, faults: Faults, real: Callable[..., Any]) -> Callable[..., Any]:
    def step(*arguments: Any, **options: Any) -> Any:
        if faults.strikes(f"kill before {name}"):
            raise Killed
        answer = real(*arguments, **options)
        if faults.strikes(f"kill after {name}"):
            raise Killed
        return answer

    return step


def everything_final() -> bool:
    final = (ChainTransaction.State.CONFIRMED, ChainTransaction.State.FAILED)
    return not ChainTransaction.objects.exclude(state__in=final).exists()


def storm(
    process: ChainProcess,
    faults: Faults,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    sweep: Callable[[], int] = outbox.sweep,
    done: Callable[[], bool] = everything_final,
) -> None:
    """Sweep through all of it until every row is final."""
    real_chain, real_signed, real_step = outbox.chain, outbox._store_signed, outbox._step
    monkeypatch.setattr(outbox, "chain", lambda: FaultyChain(real_chain(), faults))
    monkeypatch.setattr(outbox, "_store_signed", dying("sign", faults, real_signed))
    monkeypatch.setattr(outbox, "_step", dying("record", faults, real_step))
    kept_at: int | None = None
    for turn in range(most):
        if done():
            return
        if turn % 20 == 5:
            process.remember()
            kept_at = process.evm.number
        monkeypatch.setattr(outbox, "BUMP_AFTER", timedelta(0) if turn % 3 == 0 else timedelta(minutes=3))
        before = process.evm.number
        try:
            sweep()
        except Killed:
            faults.happened["killed"] += 1
        if process.evm.number == before:
            process.mine()
        if kept_at is not None and process.evm.number - kept_at >= DEEPEST:
            # Several blocks in one turn may have made something final: such a chain is not undone.
            if process.evm.number - kept_at == DEEPEST:
                faults.happened[f"reorganisation of depth {process.forget()}"] += 1
            kept_at = None
    raise AssertionError("the outbox does not come to rest")


def paid(process: ChainProcess) -> Counter[str]:
    """Per address what the pool's transfers say, read from the chain."""
    from marketplace.settlement.chain import chain

    pool = selectors.address("PayoutPool")
    found: Counter[str] = Counter()
    for entry in chain().events("DevToken", selectors.address("DevToken"), "Transfer"):
        if entry["from"] == pool:
            found[str(entry["to"]).lower()] += int(entry["value"])
    return found


def run(
    process: ChainProcess,
    open_job: OpenJob,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    *,
    payments: int,
    seed: int,
) -> Faults:
    job = open_job(payments * RATE + TOKEN)
    ledger.visit(job, range(1, payments + 1))
    monkeypatch.setattr(services, "RECIPIENTS", RECIPIENTS)
    settings.CHAIN_CONFIRMATIONS = DEEPEST + 1
    services.run_epoch()
    faults = Faults(seed, 0.02)
    with monkeypatch.context() as during:
        storm(process, faults, during, most=60 * payments)

    assert Payout.objects.count() == payments
    assert not ChainTransaction.objects.filter(state="failed").exists()
    expected = {"0x" + n.to_bytes(20, "big").hex(): RATE for n in range(1, payments + 1)}
    found = paid(process)
    assert [holder for holder, amount in found.items() if amount > RATE] == [], "paid twice"
    assert dict(found) == expected, "lost"
    services.run_epoch()
    assert SettlementEpoch.objects.get().status == SettlementEpoch.Status.DONE
    report = services.reconcile()
    assert report.differences() == []
    return faults


def test_forty_payments_through_every_fault(
    deployed: ChainProcess,
    open_job: OpenJob,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
) -> None:
    faults = run(deployed, open_job, ledger, monkeypatch, settings, payments=40, seed=7)

    assert sum(faults.happened.values()) > 15
    assert faults.happened["reorganisation of depth 3"] > 0


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_a_thousand_payments_through_every_fault(
    deployed: ChainProcess,
    open_job: OpenJob,
    ledger: Ledger,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
) -> None:
    faults = run(deployed, open_job, ledger, monkeypatch, settings, payments=1_000, seed=11)

    print(dict(faults.happened))
    for name in (
        "kill before send",
        "kill after send",
        "kill before record",
        "kill after record",
        "nonce lie",
        "reorganisation of depth 3",
    ):
        assert faults.happened[name] > 0


def test_a_hash_of_an_earlier_fee_is_found_after_a_reorganisation(
    deployed: ChainProcess, open_job: OpenJob, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """Bumped, mined at the old fee, undone, mined at the new fee: the row knows both."""
    job = open_job()
    ledger.visit(job, range(1, 3))
    services.run_epoch()
    settings.CHAIN_CONFIRMATIONS = 4
    deployed.remember()
    outbox.sweep()
    row = ChainTransaction.objects.get(key__startswith="settle:")
    assert row.state == ChainTransaction.State.MINED
    first = row.hash
    ChainTransaction.objects.filter(pk=row.pk).update(state="sent")
    row.refresh_from_db()
    assert outbox._bump(row, outbox.chain()) == 1
    outbox.sweep()
    row.refresh_from_db()
    assert row.hash == first
    assert len(row.earlier_hashes) == 1

    assert deployed.forget() > 0
    for _ in range(16):
        outbox.sweep()
        deployed.mine()
    row.refresh_from_db()

    assert row.state == ChainTransaction.State.CONFIRMED
    assert row.hash != first
