"""What the chain refused may be tried again by the administrator, and still everybody is paid once."""

from __future__ import annotations

import pytest
from django.test import Client

from marketplace.settlement import outbox, services
from marketplace.settlement.models import ChainTransaction, SettlementEpoch
from tests.apps.cast import account
from tests.apps.settlement.conftest import RATE, Ledger, OpenJob, settle
from tests.apps.settlement.test_money import balance

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "distributor", "aggregator"])
EPOCHS = "/admin/settlement/settlementepoch/"
TOO_LITTLE = 38_000
"""Gas that does not settle; a quarter more does."""


def states() -> dict[str, str]:
    rows = ChainTransaction.objects.filter(key__regex="^(settle|fund|push|publish):")
    return {key.split(":")[0]: state for key, state in rows.values_list("key", "state")}


def test_an_epoch_that_was_refused_is_paid_once_when_it_is_tried_again(
    open_job: OpenJob, ledger: Ledger
) -> None:
    ledger.visit(open_job(), range(1, 4))
    services.run_epoch()
    ChainTransaction.objects.filter(key__startswith="settle:").update(gas=TOO_LITTLE)
    settle()
    epoch = SettlementEpoch.objects.get()
    assert (epoch.status, set(states().values())) == ("settling", {"failed"})
    client = Client()
    client.force_login(account("ada"), backend="django.contrib.auth.backends.ModelBackend")
    page = client.get(f"{EPOCHS}{epoch.pk}/change/").content.decode()
    assert "what it depends on failed" in page
    assert "push:1:0" in page

    client.post(EPOCHS, {"action": "again", "_selected_action": [epoch.pk]})
    assert states() == {"settle": "new", "fund": "new", "push": "new"}
    settle()
    client.post(EPOCHS, {"action": "again", "_selected_action": [epoch.pk]})
    settle()
    told = client.post(EPOCHS, {"action": "compare", "_selected_action": [epoch.pk]}, follow=True)

    epoch.refresh_from_db()
    assert (epoch.status, set(states().values())) == ("done", {"confirmed"})
    assert [balance("0x" + n.to_bytes(20, "big").hex()) for n in range(1, 4)] == [RATE] * 3
    assert "Equal in all" in told.content.decode()
    nonces = (
        ChainTransaction.objects.filter(purpose="settler").order_by("nonce").values_list("nonce", flat=True)
    )
    assert list(nonces) == list(range(nonces[0], nonces[0] + len(nonces)))


def test_only_what_failed_for_good_and_may_be_repeated_is_tried_again(open_job: OpenJob) -> None:
    open_job()
    opened = ChainTransaction.objects.get(key__startswith="open:")
    assert not outbox.again(opened)
    ChainTransaction.objects.filter(pk=opened.pk).update(state="failed")
    opened.refresh_from_db()

    assert not outbox.again(opened), "a consumer's next try is a wish of its own"
    row = outbox.enqueue(key="settle:x:1:1", purpose="settler", to="0x" + "11" * 20, data=b"", gas=50_000)
    assert not outbox.again(row), "it is on its way"
