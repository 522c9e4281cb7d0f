"""From a budget to payouts and a refund on a real chain, exact to the last unit, through crashes."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from eth_utils import to_checksum_address

from collectives.terms.canonical import MAX_BYTES, canonical
from marketplace.accounts.models import Account
from marketplace.settlement import outbox, selectors, services
from marketplace.settlement.chain import chain
from marketplace.settlement.errors import SettlementError
from marketplace.settlement.models import (
    ChainTransaction,
    Escrow,
    Payout,
    Reconciliation,
    SettlementEpoch,
    Signer,
)
from tests.apps.settlement.conftest import RATE, TOKEN, ChainProcess, Ledger, OpenJob, settle

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "distributor", "aggregator"])


def finish(job: uuid.UUID) -> None:
    for _ in range(12):
        services.close_job(job)
        settle()
        state = selectors.escrow_state(job)
        assert state is not None
        if state.status == "closed":
            return
    raise AssertionError("the job was not closed")


def balance(holder: str) -> int:
    return int(chain().read("DevToken", selectors.address("DevToken"), "balanceOf", holder))


def test_a_job_is_paid_and_refunded_to_the_last_unit(
    open_job: OpenJob, ledger: Ledger, consumer: Account
) -> None:
    budget = 2 * TOKEN + 1234567
    job = open_job(budget)
    ledger.visit(job, range(1, 131))
    ledger.visit(job, range(1, 6))

    finish(job)

    state = selectors.escrow_state(job)
    assert state is not None
    assert (state.spent, state.refunded) == (135 * RATE, budget - 135 * RATE)
    assert balance("0x" + (1).to_bytes(20, "big").hex()) == 2 * RATE
    assert balance("0x" + (130).to_bytes(20, "big").hex()) == RATE
    assert balance(services.consumer_wallet(consumer).address) == 100 * TOKEN - 135 * RATE
    report = services.reconcile()
    assert report.differences() == []
    assert report.ok


def test_a_budget_of_10000_at_0_005_is_exactly_2_million_visits() -> None:
    assert divmod(10_000 * TOKEN, RATE) == (2_000_000, 0)


def test_opening_twice_moves_the_budget_once(open_job: OpenJob, consumer: Account) -> None:
    job = open_job(TOKEN)

    services.open_escrow(job_id=job, consumer_account=consumer, rate=RATE, budget=TOKEN, expires=2**40)
    settle()

    assert balance(services.consumer_wallet(consumer).address) == 99 * TOKEN


def test_insufficient_funds_say_both_figures_and_move_nothing(consumer: Account) -> None:
    with pytest.raises(SettlementError, match=r"holds 100 OCEAN; this job needs 100\.5.*Add 0\.5") as raised:
        services.open_escrow(
            job_id=uuid.uuid4(),
            consumer_account=consumer,
            rate=RATE,
            budget=100 * TOKEN + TOKEN // 2,
            expires=2**40,
        )

    assert raised.value.code == "insufficient_funds"
    assert Escrow.objects.count() == 0


def test_lots_carry_the_remainder_and_the_sum_stays_exact(
    open_job: OpenJob, ledger: Ledger, settings: Any
) -> None:
    settings.LOT = 2 * RATE
    job = open_job()
    ledger.visit(job, range(1, 11), times=3)
    services.run_epoch()
    settle()

    epoch = SettlementEpoch.objects.get(number=1)

    assert (int(epoch.earned), int(epoch.paid), int(epoch.carried)) == (30 * RATE, 20 * RATE, 10 * RATE)
    assert services.reconcile().differences() == []


def test_a_statement_of_thousands_of_addresses_is_taken(open_job: OpenJob, ledger: Ledger) -> None:
    """It names each of them, and so is larger than a document that people write may be. Nothing is sent: the chain's work is the dear part."""
    people = range(1, 4_501)
    job = open_job(len(people) * RATE)
    ledger.visit(job, people)

    services.run_epoch()

    assert len(canonical(SettlementEpoch.objects.get().statement, most=1 << 30)) > MAX_BYTES
    assert Payout.objects.count() == len(people)


def test_an_epoch_pays_more_addresses_than_one_batch_holds(open_job: OpenJob, ledger: Ledger) -> None:
    people = range(1, 502)
    job = open_job(len(people) * RATE)
    ledger.visit(job, people)

    finish(job)

    assert Payout.objects.count() == len(people)
    assert {balance(to_checksum_address(n.to_bytes(20, "big"))) for n in (1, 500, 501)} == {RATE}
    assert services.reconcile().ok


@pytest.mark.long
def test_an_epoch_pays_thousands_of_addresses(open_job: OpenJob, ledger: Ledger) -> None:
    """All of them, in nine batches."""
    people = range(1, 4_501)
    job = open_job(len(people) * RATE)
    ledger.visit(job, people)

    finish(job)

    assert len(canonical(SettlementEpoch.objects.get().statement, most=1 << 30)) > MAX_BYTES
    assert Payout.objects.count() == len(people)
    assert {balance(to_checksum_address(n.to_bytes(20, "big"))) for n in (1, 501, 4_500)} == {RATE}
    assert services.reconcile().ok


def test_an_epoch_can_be_asked_for_again_and_again(open_job: OpenJob, ledger: Ledger) -> None:
    job = open_job()
    ledger.visit(job, range(1, 4))
    for _ in range(5):
        services.run_epoch()
        settle()

    assert SettlementEpoch.objects.count() == 1
    assert Payout.objects.count() == 3
    assert services.reconcile().ok


class Crash(Exception):
    """The process dies here."""


@pytest.mark.parametrize("step", ["_store_signed", "_send", "_look", "_confirm"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_any_step_pays_nobody_twice_and_loses_nobody(
    open_job: OpenJob, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    job = open_job()
    ledger.visit(job, range(1, 8))
    services.run_epoch()
    real = getattr(outbox, step)
    crashes = 0

    def dying(*arguments: Any, **options: Any) -> Any:
        nonlocal crashes
        if crashes < 6:
            crashes += 1
            if when == "after":
                real(*arguments, **options)
            raise Crash
        return real(*arguments, **options)

    monkeypatch.setattr(outbox, step, dying)
    for _ in range(30):
        try:
            services.sweep()
        except Crash:
            continue
    monkeypatch.setattr(outbox, step, real)
    finish(job)

    assert crashes >= 3, "the step must have died several times for this to say anything"
    assert all(balance("0x" + n.to_bytes(20, "big").hex()) == RATE for n in range(1, 8))
    assert services.reconcile().differences() == []


def test_a_restart_of_the_chain_in_the_middle_loses_nothing(
    deployed: ChainProcess, open_job: OpenJob, ledger: Ledger
) -> None:
    job = open_job()
    ledger.visit(job, range(1, 4))
    services.run_epoch()
    services.sweep()
    deployed.stop()
    assert services.sweep() >= 0
    deployed.start()

    finish(job)

    assert services.reconcile().ok


def test_every_nonce_is_used_once(open_job: OpenJob, ledger: Ledger) -> None:
    job = open_job()
    ledger.visit(job, range(1, 4))
    finish(job)

    for signer in Signer.objects.all():
        used = list(signer.chaintransaction_set.order_by("nonce").values_list("nonce", flat=True))
        assert used == list(range(len(used)))
    assert not ChainTransaction.objects.exclude(state="confirmed").exists()


def test_a_difference_is_found_and_stops_new_jobs(
    open_job: OpenJob, ledger: Ledger, consumer: Account
) -> None:
    job = open_job()
    ledger.visit(job, range(1, 4))
    finish(job)
    Escrow.objects.filter(job_id=job).update(spent=2 * RATE, refunded=TOKEN - 2 * RATE)

    report = services.reconcile()

    assert not report.ok
    assert f"job {str(job)[:8]}: settled" in [name for name, _, _ in report.differences()]
    assert Reconciliation.objects.first().ok is False
    with pytest.raises(SettlementError, match="No new jobs"):
        services.open_escrow(
            job_id=uuid.uuid4(), consumer_account=consumer, rate=RATE, budget=TOKEN, expires=2**40
        )
