"""What cannot be is refused with a sentence and its numbers, and nothing moves."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from marketplace.accounts.models import Account
from marketplace.settlement import chain as chains
from marketplace.settlement import selectors, services
from marketplace.settlement.errors import SettlementError
from marketplace.settlement.models import ChainTransaction, Escrow, Reconciliation
from tests.apps.settlement.conftest import RATE, TOKEN, ChainProcess

DATABASES = ["default", "distributor", "aggregator"]
RIGHT = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # the first example of EIP-55


def open_escrow(account: Account) -> None:
    services.open_escrow(
        job_id=uuid.uuid4(), consumer_account=account, rate=RATE, budget=TOKEN, expires=2**40
    )


@pytest.mark.django_db(transaction=True, databases=DATABASES)
def test_another_chain_is_refused_by_number_and_nothing_is_sent(
    consumer: Account, deployed: ChainProcess, settings: Any
) -> None:
    known = ChainTransaction.objects.count()
    head = deployed.evm.number
    services.faucet(consumer, TOKEN)
    real = chains.chain()
    wrong = chains.Chain(settings.CHAIN_RPC_URL, 4242)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selectors, "chain", lambda: wrong)
        patch.setattr(services.outbox, "chain", lambda: wrong)
        with pytest.raises(
            SettlementError, match=r"serves chain 1337, but CHAIN_ID says 4242.*Nothing was moved"
        ) as raised:
            open_escrow(consumer)
        assert services.sweep() == 0

    assert raised.value.code == "wrong_chain"
    assert (Escrow.objects.count(), ChainTransaction.objects.count()) == (0, known + 2)
    assert (deployed.evm.number, real.head()) == (head, head)


@pytest.mark.django_db(transaction=True, databases=DATABASES)
def test_while_the_chain_is_down_nothing_is_opened(consumer: Account, deployed: ChainProcess) -> None:
    deployed.stop()
    try:
        with pytest.raises(SettlementError, match=r"does not answer now\. Nothing was moved") as raised:
            open_escrow(consumer)
    finally:
        deployed.start()

    assert raised.value.code == "chain_down"
    assert Escrow.objects.count() == 0


@pytest.mark.django_db(databases=DATABASES)
@pytest.mark.parametrize("address", [RIGHT, RIGHT.lower(), "0x" + RIGHT[2:].upper()])
def test_an_address_may_be_written_with_or_without_its_checksum(client: Client, address: str) -> None:
    assert client.get(f"/api/v1/payouts/{address}").status_code == 200


@pytest.mark.django_db(databases=DATABASES)
def test_a_wrongly_typed_address_is_noticed(client: Client) -> None:
    answer = client.get(f"/api/v1/payouts/{RIGHT[:-1]}D")

    assert answer.status_code == 400
    assert answer.json()["code"] == "bad_checksum"
    assert "0x5aAeb6…eAeD" in answer.json()["detail"]


@pytest.mark.django_db(databases=DATABASES)
def test_the_administrator_sees_what_differs_and_new_jobs_wait(client: Client) -> None:
    admin = Account.objects.create_user("ada@people.example", "x", is_staff=True, is_superuser=True)
    client.force_login(admin, backend="django.contrib.auth.backends.ModelBackend")
    lines = [["held in escrow", str(2 * TOKEN), str(TOKEN)], ["left in the pool", "0", "0"]]
    Reconciliation.objects.create(ok=False, lines=lines)

    page = client.get("/admin/settlement/reconciliation/").content.decode()

    assert "held in escrow: 2 / 1" in page
    assert "left in the pool" not in page
    assert selectors.new_jobs_blocked() is not None
