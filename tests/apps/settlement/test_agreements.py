"""Agreements in force and revocations reach the registry with each settlement epoch."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from eth_hash.auto import keccak

from collectives.models import Collective, Subscription
from marketplace.settlement import selectors, services
from marketplace.settlement.chain import chain, job_bytes
from marketplace.settlement.models import ChainTransaction
from tests.apps.cast import account
from tests.apps.settlement.conftest import Ledger, OpenJob, settle

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "distributor", "aggregator"])


def subscribe(collective: Collective, number: int) -> Subscription:
    return Subscription.objects.create(
        collective=collective,
        terms=collective.terms.first(),
        subscription_key=f"{number:064x}",
        document={},
        envelope_hash="00" * 32,
        agreement_hash=keccak(f"agreement {number}".encode()).hex(),
        permit={},
        expires_at=timezone.now() + timedelta(days=30),
    )


def revoke(subscription: Subscription) -> None:
    subscription.status, subscription.revoked_at = Subscription.Status.REVOKED, timezone.now()
    subscription.save()


def in_force(collective_id: uuid.UUID, epoch: int, agreement: str, *others: str) -> bool:
    """Asks the registry, with the proof in a tree of at most two agreements."""
    proof = [bytes(keccak(bytes.fromhex(other))) for other in others]
    place = selectors.address("SubscriptionRegistry")
    arguments = (job_bytes(collective_id), epoch, bytes.fromhex(agreement), proof)
    return bool(chain().read("SubscriptionRegistry", place, "isInForce", *arguments))


def test_an_epoch_registers_what_is_in_force_and_records_what_ended(
    collective: Collective, open_job: OpenJob, ledger: Ledger
) -> None:
    first, second, third = (subscribe(collective, n) for n in range(3))
    revoke(third)
    ledger.visit(open_job(), range(1, 4))
    services.run_epoch()
    settle()

    a, b, gone = (s.agreement_hash for s in (first, second, third))
    assert in_force(collective.pk, 1, a, b)
    assert in_force(collective.pk, 1, b, a)
    assert not in_force(collective.pk, 1, gone, a)
    assert not in_force(collective.pk, 2, a, b)

    revoke(second)
    services.run_epoch()
    settle()

    assert not in_force(collective.pk, 1, b, a), "revoked although the epoch's root still holds it"
    assert in_force(collective.pk, 1, a, b)
    keys = list(ChainTransaction.objects.filter(key__startswith="revoke:").values_list("key", "state"))
    assert sorted(keys) == sorted((f"revoke:{h}", "confirmed") for h in (b, gone))


def test_nothing_is_registered_or_revoked_twice(
    collective: Collective, open_job: OpenJob, ledger: Ledger
) -> None:
    revoke(subscribe(collective, 1))
    subscribe(collective, 2)
    job = open_job()
    for _ in range(2):
        ledger.visit(job, range(1, 4))
        services.run_epoch()
        settle()
    services.run_epoch()
    settle()

    keys = ChainTransaction.objects.values_list("key", flat=True)
    assert sorted(k for k in keys if k.startswith("register:")) == [
        f"register:{collective.pk}:{epoch}" for epoch in (1, 2)
    ]
    assert services.record_revocations() == 0
    assert not ChainTransaction.objects.exclude(state="confirmed").exists()


def test_a_collective_without_agreements_registers_nothing(
    collective: Collective, open_job: OpenJob, ledger: Ledger
) -> None:
    revoke(subscribe(collective, 1))
    ledger.visit(open_job(), range(1, 4))
    services.run_epoch()

    assert not ChainTransaction.objects.filter(key__startswith="register:").exists()


def test_the_administrator_sees_the_roots_of_an_epoch(
    collective: Collective, open_job: OpenJob, ledger: Ledger
) -> None:
    subscribe(collective, 1)
    ledger.visit(open_job(), range(1, 4))
    services.run_epoch()
    settle()
    client = Client()
    client.force_login(account("ada"), backend="django.contrib.auth.backends.ModelBackend")

    epochs = client.get("/admin/settlement/settlementepoch/").content.decode()
    rows = client.get("/admin/settlement/chaintransaction/?kind=register").content.decode()

    assert "1 of 1" in epochs
    assert f"register:{collective.pk}:1" in rows
    assert "settle:" not in rows.split('id="result_list"')[1]
