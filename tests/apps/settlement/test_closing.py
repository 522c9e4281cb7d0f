"""No refund before the settlement it must wait for, whoever looks in between."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace.settlement import clients, selectors, services
from marketplace.settlement.models import ChainTransaction, Payout
from tests.apps.settlement.conftest import RATE, TOKEN, Ledger, OpenJob, settle
from tests.apps.settlement.test_money import finish

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "distributor", "aggregator"])


def test_a_second_worker_does_not_refund_while_the_first_still_pulls_the_epoch(
    open_job: OpenJob, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = open_job(2 * TOKEN)
    ledger.visit(job, range(1, 121))
    refunds_meanwhile: list[int] = []

    def slow(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = ledger.answer(method, path, body)
        if path == "/epochs" and not refunds_meanwhile:
            # Stated there, not yet in our rows: this is when another worker comes along.
            refunds_meanwhile.append(-1)
            services.close_job(job)
            refunds_meanwhile[0] = ChainTransaction.objects.filter(key=f"close:{job}").count()
        return answer

    monkeypatch.setattr(clients, "call", slow)
    finish(job)

    assert refunds_meanwhile == [0]
    state = selectors.escrow_state(job)
    assert state is not None
    assert (state.spent, state.refunded) == (120 * RATE, 2 * TOKEN - 120 * RATE)


def test_a_kill_between_the_statement_and_our_rows_loses_no_payout(open_job: OpenJob, ledger: Ledger) -> None:
    job = open_job(2 * TOKEN)
    ledger.visit(job, range(1, 121))
    ledger.close(1)  # the aggregator closed the epoch; the process that asked died before it wrote a row

    finish(job)

    assert Payout.objects.count() == 120
    assert services.reconcile().differences() == []


def test_transactions_in_flight_are_counted_until_they_are_confirmed(
    open_job: OpenJob, ledger: Ledger
) -> None:
    job = open_job(2 * TOKEN)
    assert selectors.in_flight() == 0
    ledger.visit(job, range(1, 121))

    services.close_job(job)
    waiting = selectors.in_flight()
    settle()

    assert waiting >= 2
    assert selectors.in_flight() == 0
