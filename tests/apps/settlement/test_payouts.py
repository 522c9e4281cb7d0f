"""What a person is told about a payout: amounts, when the next one is, and why it is not at once; never a visit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from marketplace.settlement import services
from marketplace.settlement.models import SettlementEpoch
from tests.apps.settlement.conftest import RATE, TOKEN, Ledger, OpenJob, settle

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "distributor", "aggregator"])
FIRST = "0x" + (1).to_bytes(20, "big").hex()


@pytest.fixture
def production(settings: Any) -> Any:
    settings.EPOCH_ON_JOB_END = False
    settings.EPOCH_SECONDS, settings.LOT = 86_400, 2 * RATE
    settings.EPOCH_MIN_RECIPIENTS, settings.EPOCH_MIN_COLLECTIVES = 100, 3
    return settings


def told(client: Client, holder: str = FIRST) -> dict[str, Any]:
    return dict(client.get(f"/api/v1/payouts/{holder}").json())


def epoch(**amounts: int) -> SettlementEpoch:
    values = {"earned": 0, "paid": 0, "carried": 0, "held_over": 0} | amounts
    return SettlementEpoch.objects.create(number=1, statement={}, **values)


def test_a_held_over_epoch_names_the_date_of_the_next_try(client: Client, db: None, production: Any) -> None:
    made = epoch(earned=TOKEN, held_over=TOKEN)

    answer = told(client)

    due = int(made.created_at.timestamp()) + 86_400
    assert answer["next_epoch"] == due
    assert "fewer than 100 recipients or 3 collectives" in answer["note"]
    assert f"{datetime.fromtimestamp(due, tz=UTC):%d %B %Y at %H:%M} UTC" in answer["note"]
    assert (answer["paid"], answer["pending"]) == ("0", "0")


def test_an_epoch_that_paid_says_why_one_waits_for_the_next(
    client: Client, db: None, production: Any
) -> None:
    epoch(earned=TOKEN, paid=TOKEN)

    answer = told(client)

    assert "every 1 day, in lots of 0.01" in answer["note"]
    assert answer["next_epoch"] is not None


def test_before_the_first_epoch_there_is_no_date(client: Client, db: None, production: Any) -> None:
    assert told(client)["next_epoch"] is None


def test_pending_becomes_paid_and_no_visit_is_named(
    client: Client, open_job: OpenJob, ledger: Ledger
) -> None:
    job = open_job()
    ledger.visit(job, range(1, 4), times=2)
    services.run_epoch()

    before = told(client)
    settle()
    after = told(client)

    assert (before["paid"], before["pending"]) == ("0", str(2 * RATE))
    assert (after["paid"], after["pending"]) == (str(2 * RATE), "0")
    assert str(job) not in json.dumps(after)
    assert set(after) == {"paid", "pending", "epoch_seconds", "next_epoch", "note"}
