"""Closing epochs: exact sums, one statement for ever, nothing of a visit left after settlement."""

from __future__ import annotations

import hashlib
import tracemalloc
import uuid

import pytest
import rfc8785
from django.db import IntegrityError, connections
from django.test.utils import CaptureQueriesContext

from aggregation.epochs import receipts_root
from aggregation.server import config
from aggregation.server.errors import Conflict
from aggregation.server.models import Balance, Epoch, Job, Participant, PayoutAddress, Round, Unopened, Visit
from aggregation.server.services import epochs, payouts
from aggregation.server.services.epochs import EpochOrder
from aggregation.wire import signing
from aggregation.wire.errors import WireError
from tests.apps.aggregator.conftest import RATE

pytestmark = pytest.mark.django_db(databases=["aggregator"])
BASE = "/internal/aggregator"


@pytest.fixture
def ledger(cast):
    """Four wallets with addresses, one finished round of the job (release_min 2) with a visit of each."""
    from aggregation.server.services import opening, results

    cast.members(4)
    for number in range(4):
        cast.open_payout(number, bytes([number + 1]) * 20)
    row = opening.open_round(job_id=cast.job_id, number=1, order=cast.order())
    opening.put_cohort(job_id=cast.job_id, number=1, tickets=dict.fromkeys(cast.job_keys(), "00" * 16))
    cast.visit = lambda number, round_number=1: Visit.objects.create(
        job_id=cast.job_id,
        round=round_number,
        collective_id=cast.collective_id,
        subscription_key=signing.public_key(cast.wallets[number][0]).hex(),
        rate=RATE,
        receipt=bytes([number, round_number]),
        at=config.now(),
    )
    for number in range(4):
        cast.visit(number)
    results.stop(job_id=cast.job_id, number=1)
    assert Round.objects.get(pk=row.pk).receipts == 4
    return cast


def order(epoch=1, *, final=(), lot=0, recipients=1, collectives=1):
    return EpochOrder(
        epoch=epoch,
        final_jobs=tuple(str(job) for job in final),
        lot=lot,
        min_recipients=recipients,
        min_collectives=collectives,
    )


def amounts(document, *names):
    return tuple(int(document[name]) for name in names)


def test_every_visit_is_stated_once_and_paid_exactly(ledger):
    envelope = epochs.close(order())
    document = envelope["document"]
    assert amounts(document, "earned", "paid", "carried", "held_over") == (4 * RATE, 4 * RATE, 0, 0)
    assert [(job["job_id"], job["seq"], job["visits"]) for job in document["jobs"]] == [
        (str(ledger.job_id), 1, 4)
    ]
    assert document["payouts"] == [["0x" + f"{n:02x}" * 20, str(RATE)] for n in range(1, 5)]
    digest = hashlib.sha256(rfc8785.dumps(document)).digest()
    signature = bytes.fromhex(envelope["signature"])
    signing.verify(config.public_key(), b"cssi/v1/epoch", {"hash": digest}, signature)
    assert epochs.close(order(final=[ledger.job_id])) == envelope
    second = epochs.close(order(2, final=[ledger.job_id]))["document"]
    assert amounts(second, "earned", "paid") == (0, 0)
    with pytest.raises(WireError):
        signing.verify(config.public_key(), b"cssi/v1/epoch", {"hash": bytes(32)}, signature)


def test_a_statement_names_no_subscription(ledger):
    text = str(epochs.close(order()))
    for subscription, job_key in ledger.wallets:
        assert signing.public_key(subscription).hex() not in text
        assert signing.public_key(job_key).hex() not in text


def test_remainders_below_a_lot_are_carried_and_paid_later(ledger):
    lot = 2 * RATE
    first = epochs.close(order(lot=lot))["document"]
    assert amounts(first, "earned", "paid", "carried") == (4 * RATE, 0, 4 * RATE)
    Visit.objects.all().update(round=1)
    for number in range(4):
        ledger.visit(number, 2)
    Round.objects.filter(number=1).update(number=2)
    second = epochs.close(order(2, lot=lot))["document"]
    assert amounts(second, "earned", "paid", "carried") == (4 * RATE, 8 * RATE, 0)
    assert sum(row.paid for row in Balance.objects.all()) == 8 * RATE
    assert epochs.totals() == {
        "earned": str(8 * RATE),
        "stated": str(8 * RATE),
        "paid": str(8 * RATE),
        "carried": "0",
        "held_over": "0",
    }


def test_too_few_recipients_are_held_over(ledger):
    document = epochs.close(order(recipients=5))["document"]
    assert amounts(document, "earned", "paid", "held_over") == (4 * RATE, 0, 4 * RATE)
    later = epochs.close(order(2, collectives=0))["document"]
    assert amounts(later, "earned", "paid", "held_over") == (0, 4 * RATE, 0)


def test_fewer_visits_than_a_cohort_wait_unless_the_job_is_final(ledger):
    Visit.objects.filter(receipt__in=[bytes([n, 1]) for n in range(3)]).delete()
    assert amounts(epochs.close(order())["document"], "earned") == (0,)
    final = epochs.close(order(2, final=[ledger.job_id]))["document"]
    assert amounts(final, "earned", "paid") == (RATE, RATE)


def test_visits_of_a_running_round_wait(ledger):
    Round.objects.update(step="unmask")
    assert amounts(epochs.close(order(final=[ledger.job_id]))["document"], "earned") == (0,)


def test_a_visit_without_an_address_is_earned_held_over_and_paid_when_it_is_opened(ledger):
    from aggregation.server.models import PayoutAddress

    PayoutAddress.objects.filter(address="04" * 20).delete()
    first = epochs.close(order())["document"]
    assert amounts(first, "earned", "paid", "held_over") == (4 * RATE, 3 * RATE, RATE)
    assert first["jobs"][0]["visits"] == 4
    assert Unopened.objects.get().amount == RATE
    assert ledger.open_payout(3, b"\x04" * 20) == 201
    second = epochs.close(order(2, collectives=0))["document"]
    assert second["payouts"] == [["0x" + "04" * 20, str(RATE)]]
    assert amounts(second, "earned", "paid", "held_over") == (0, RATE, 0)


def test_after_settlement_nobody_can_tell_which_visit_was_paid(ledger):
    epochs.close(order())
    for _ in range(2):
        epochs.settled(1)
    assert not Visit.objects.exists()
    assert not Participant.objects.exists()
    assert Epoch.objects.get().state == "settled"
    assert epochs.totals()["earned"] == str(4 * RATE)


def test_epochs_over_http(ledger, call):
    body = {"epoch": 1, "final_jobs": [], "lot": "0", "min_recipients": 1, "min_collectives": 1}
    status, envelope = call("market", "POST", f"{BASE}/epochs", body)
    assert status == 200
    assert call("market", "GET", f"{BASE}/epochs/1") == (200, envelope)
    assert call("market", "GET", f"{BASE}/epochs/2")[0] == 404
    assert call("market", "POST", f"{BASE}/epochs/1/settled", {}) == (200, {})
    assert call("market", "GET", f"{BASE}/totals")[1]["stated"] == str(4 * RATE)
    assert call("market", "POST", f"{BASE}/epochs", body | {"lot": 5})[1]["code"] == "malformed"
    assert call("market", "POST", f"{BASE}/epochs", body | {"final_jobs": ["x"]})[1]["code"] == "malformed"


def test_a_payout_address_is_stored_once(cast):
    cast.members(1)
    assert cast.open_payout(0, b"\x01" * 20) == 201
    assert cast.open_payout(0, b"\x01" * 20) == 200
    with pytest.raises(Conflict) as caught:
        cast.open_payout(0, b"\x02" * 20)
    assert caught.value.status == 409


def test_addresses_that_come_together_are_answered_each_by_itself(cast, django_assert_num_queries):
    cast.members(4)
    cast.open_payout(0, b"\x01" * 20)
    batch = [
        cast.sealed_payout(0, b"\x01" * 20),
        cast.sealed_payout(1, b"\x02" * 20),
        b"junk",
        cast.sealed_payout(0, b"\x09" * 20),
        cast.sealed_payout(2, b"\x03" * 20),
        cast.sealed_payout(1, b"\x02" * 20),
        cast.sealed_payout(2, b"\x09" * 20),
    ]
    with django_assert_num_queries(4, using="aggregator"):  # savepoint, look, insert, release
        outcomes = payouts.store(batch)
    said = [getattr(outcome, "status", getattr(outcome, "code", outcome)) for outcome in outcomes]
    assert said == [200, 201, "cannot_unseal", 409, 201, 200, 409]
    stored = {row.subscription_key: row.address for row in PayoutAddress.objects.all()}
    keys = [signing.public_key(subscription).hex() for subscription, _ in cast.wallets]
    assert stored == {key: bytes([number + 1]).hex() * 20 for number, key in enumerate(keys[:3])}


def test_a_batch_that_another_process_was_in_the_way_of_is_looked_up_again(cast, monkeypatch):
    cast.members(2)
    insert, refused = PayoutAddress.objects.bulk_create, []

    def late(rows):
        if not refused:
            refused.append(len(rows))
            raise IntegrityError
        return insert(rows)

    monkeypatch.setattr(PayoutAddress.objects, "bulk_create", late)
    batch = [cast.sealed_payout(number, bytes([number + 1]) * 20) for number in (0, 1, 0)]
    assert payouts.store(batch) == [201, 201, 200]
    assert refused == [2]
    assert PayoutAddress.objects.count() == 2


def test_money_survives_the_database_to_the_last_unit(cast):
    amount = 10_000 * 10**18 + 1
    Job.objects.create(
        id=uuid.uuid4(),
        collective_id=uuid.uuid4(),
        rate=amount,
        manifest_hash="",
        log_root="",
        log_size=1,
        created=1,
    )
    assert Job.objects.get().rate == amount
    with pytest.raises(ValueError, match="10\\^38"):
        Job.objects.update(rate=-1)


def many_visits(cast, rounds, first):
    """`rounds` more rounds that are over, numbered from `first`, with a visit of each of the four wallets; the receipts."""
    row = Round.objects.get(number=1)
    receipts = [f"receipt {number} {wallet}".encode() for number in range(rounds) for wallet in range(4)]
    Visit.objects.bulk_create(
        Visit(
            job_id=cast.job_id,
            round=first + n // 4,
            collective_id=cast.collective_id,
            subscription_key=signing.public_key(cast.wallets[n % 4][0]).hex(),
            rate=RATE,
            receipt=receipt,
            at=0,
        )
        for n, receipt in enumerate(receipts)
    )
    fields = {
        field.name: getattr(row, field.attname)
        for field in Round._meta.concrete_fields
        if field.name not in ("id", "job", "number")
    }
    Round.objects.bulk_create(Round(job_id=row.job_id, number=first + n, **fields) for n in range(rounds))
    return receipts


def cost_of_closing(number):
    """(statement's document, queries, bytes of memory at the peak, visits that became objects)."""
    made = []
    original = Visit.from_db

    def counted(*args):
        made.append(1)
        return original(*args)

    with pytest.MonkeyPatch.context() as patch, CaptureQueriesContext(connections["aggregator"]) as queries:
        patch.setattr(Visit, "from_db", counted)
        patch.setattr(epochs, "RECEIPTS_AT_ONCE", 400)
        tracemalloc.start()
        document = epochs.close(order(number))["document"]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return document, [q["sql"] for q in queries if '"receipt"' not in q["sql"]], peak, len(made)


def test_closing_an_epoch_costs_no_memory_and_no_query_per_visit(ledger):
    Visit.objects.all().delete()
    costs = []
    # The first one also makes the rows that are counted up afterwards.
    for number, rounds in enumerate((1, 100, 600), 1):
        receipts = many_visits(ledger, rounds, first=1000 * number)
        costs.append(cost_of_closing(number))
        epochs.settled(number)
    (_, few_queries, few_peak, _), (document, queries, peak, objects) = costs[1:]
    assert amounts(document, "earned", "paid") == (2_400 * RATE, 2_400 * RATE)
    assert (
        document["jobs"][0]["receipts_root"]
        == receipts_root(hashlib.sha256(r).digest() for r in receipts).hex()
    )
    assert objects == 0
    assert len(queries) == len(few_queries)
    assert peak - few_peak < 2_000 * 40, f"{peak - few_peak} bytes more for 2,000 visits more"
