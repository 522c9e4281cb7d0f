"""Visits kept for a sale: sealed while they wait, split exactly when a model is sold, stated once."""

from __future__ import annotations

import uuid

import pytest

from aggregation.epochs import split
from aggregation.server.errors import Conflict
from aggregation.server.models import Sale, Shares, Unopened, Visit
from aggregation.server.services import epochs, shares
from aggregation.server.services.shares import SaleOrder
from aggregation.wire import signing
from aggregation.wire.secret import Secret
from tests.apps.aggregator.conftest import RATE
from tests.apps.aggregator.test_epochs import amounts, ledger, order  # noqa: F401

pytestmark = pytest.mark.django_db(databases=["aggregator"])
KEY = bytes(range(32))
BASE = "/internal/aggregator"


def sale(job_id, amount=1001, key=KEY, **changed):
    values = {"sale_id": uuid.uuid4(), "job_id": job_id, "amount": amount, "keys": {1: Secret(key)}}
    return SaleOrder(**values | changed)


def selling(number, *sales):
    return epochs.EpochOrder(
        epoch=number, final_jobs=(), lot=0, min_recipients=1, min_collectives=1, sales=tuple(sales)
    )


@pytest.fixture
def kept(ledger):  # noqa: F811
    """Epoch 1 is settled; the visits of the job are kept sealed."""
    epochs.close(order())
    epochs.settled(1, [ledger.job_id], Secret(KEY))
    return ledger


def test_what_is_kept_says_nothing_without_the_key(kept):
    assert not Visit.objects.exists()
    (row,) = Shares.objects.all()
    assert (row.job_id, row.epoch, row.visits) == (kept.job_id, 1, 4)
    for subscription, _ in kept.wallets:
        assert signing.public_key(subscription) not in bytes(row.sealed)
    with pytest.raises(Conflict, match="does not open"):
        shares.parts(sale(kept.job_id, key=bytes(32)))
    with pytest.raises(Conflict, match="missing"):
        shares.parts(sale(kept.job_id, keys={}))
    Shares.objects.update(job_id=uuid.uuid4())
    with pytest.raises(Conflict, match="does not open"):
        shares.parts(sale(Shares.objects.get().job_id))


def test_without_a_key_nothing_is_kept(ledger):  # noqa: F811
    epochs.close(order())
    epochs.settled(1)

    assert not Shares.objects.exists()
    with pytest.raises(Conflict, match="nobody to split"):
        shares.parts(sale(ledger.job_id))


def test_a_sale_is_split_to_the_last_unit_and_paid_like_visits(kept):
    document = epochs.close(selling(2, sale(kept.job_id)))["document"]

    assert amounts(document, "earned", "paid", "sold", "carried", "held_over") == (1001, 1001, 1001, 0, 0)
    assert document["jobs"] == []
    assert sorted(int(amount) for _, amount in document["payouts"]) == [250, 250, 250, 251]
    assert int(epochs.totals()["earned"]) == 4 * RATE + 1001


def test_a_sale_is_stated_once(kept):
    sold = sale(kept.job_id)
    first = epochs.close(selling(2, sold))
    assert epochs.close(selling(2)) == first
    with pytest.raises(Conflict, match="earlier epoch"):
        epochs.close(selling(3, sold))

    assert Sale.objects.get().epoch == 2


def test_a_part_whose_address_nobody_opened_is_held_over(kept):
    from aggregation.server.models import PayoutAddress

    PayoutAddress.objects.filter(address="04" * 20).delete()
    document = epochs.close(selling(2, sale(kept.job_id, 1000)))["document"]

    assert amounts(document, "earned", "paid", "sold", "held_over") == (1000, 750, 1000, 250)
    assert Unopened.objects.get().amount == 250


def test_shares_and_sales_over_http(ledger, call):  # noqa: F811
    body = {"epoch": 1, "final_jobs": [], "lot": "0", "min_recipients": 1, "min_collectives": 1}
    call("market", "POST", f"{BASE}/epochs", body)
    keep = {"keep": [str(ledger.job_id)], "seal": KEY.hex()}
    for _ in range(2):
        assert call("market", "POST", f"{BASE}/epochs/1/settled", keep) == (200, {})
    assert call("market", "GET", f"{BASE}/jobs/{ledger.job_id}/shares")[1] == {"epochs": [1], "visits": 4}
    assert call("collectives", "GET", f"{BASE}/jobs/{ledger.job_id}/shares")[0] == 403
    sold = {
        "sale_id": str(uuid.uuid4()),
        "job_id": str(ledger.job_id),
        "amount": "8",
        "keys": {"1": KEY.hex()},
    }
    status, envelope = call("market", "POST", f"{BASE}/epochs", body | {"epoch": 2, "sales": [sold]})
    assert (status, envelope["document"]["sales"]) == (200, [sold["sale_id"]])
    for wrong in ({"amount": 8}, {"keys": {"x": KEY.hex()}}, {"keys": {"1": "00"}}, {"job_id": "x"}):
        answer = call("market", "POST", f"{BASE}/epochs", body | {"epoch": 3, "sales": [sold | wrong]})
        assert answer[1]["code"] == "malformed"


def test_nobody_cannot_be_split_among():
    with pytest.raises(ValueError, match="nobody"):
        split(1, {"a": 0})
