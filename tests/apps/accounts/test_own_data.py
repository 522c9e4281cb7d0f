"""A person's data goes out to them whole, and away on their word; books that concern others stay without a name."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse
from django.utils import timezone

from collectives.models import Job
from marketplace.accounts import erasing
from marketplace.accounts.models import Account
from marketplace.individuals import clients
from marketplace.individuals.errors import DistributorDown
from marketplace.individuals.models import NoticeChoice, SubscriptionLink, WalletLink
from marketplace.individuals.services import deliveries
from marketplace.jobs.models import Order
from tests.apps.cast import PASSWORD, World


class Distributor:
    """Answers as long as it is up."""

    def __init__(self) -> None:
        self.up, self.deleted = True, 0

    def call(self, method: str, path: str, body: object = None) -> dict[str, object]:
        if not self.up:
            raise DistributorDown
        self.deleted += method == "DELETE"
        return {}


@pytest.fixture(autouse=True)
def distributor(monkeypatch: pytest.MonkeyPatch) -> Distributor:
    made = Distributor()
    monkeypatch.setattr(clients, "_call", made.call)
    return made


def test_the_export_holds_what_the_site_keeps_and_nobody_elses(world: World) -> None:
    NoticeChoice.objects.create(
        link=world.link, notice_ref=str(world.admission.pk), choice="with", created_at=timezone.now()
    )
    answer = world.client("ivo").get(reverse("account-export"))
    assert answer["Content-Disposition"] == 'attachment; filename="my-account.json"'
    found = json.loads(answer.content)
    assert found["account"]["email"] == "ivo@people.example"
    (subscription,) = found["subscriptions"]
    assert subscription["collective"] == "Sleep well"
    assert subscription["subscription_key"] == world.link.subscription_key
    assert subscription["answers"][0]["choice"] == "with"
    assert found["orders"] == []
    assert found["wallets"][0]["mailbox_key"] == world.wallet.mailbox_key
    assert "carla" not in answer.content.decode()


def test_a_consumers_export_holds_orders_with_their_metrics(world: World) -> None:
    found = world.client("carla").get(reverse("account-export")).json()
    assert [order["job_id"] for order in found["orders"]] == [str(world.order.job_id)]
    assert found["subscriptions"] == []


def test_deleting_needs_the_password(world: World) -> None:
    client, url = world.client("ivo"), reverse("account-delete")
    for password in ("", "wrong"):
        assert client.post(url, {"password": password}).status_code == 422
    assert Account.objects.filter(email="ivo@people.example").exists()


def test_deleting_ends_subscriptions_and_forgets_the_person(world: World, distributor: Distributor) -> None:
    client = world.client("ivo")
    answer = client.post(reverse("account-delete"), {"password": PASSWORD}, follow=True)
    assert "Your account is deleted" in answer.content.decode()
    assert not Account.objects.filter(pk=world.people["ivo"].pk).exists()
    assert not SubscriptionLink.objects.exists()
    assert distributor.deleted == 1
    assert client.get(reverse("account")).status_code == 302


def test_a_mailbox_that_cannot_be_forgotten_now_is_forgotten_later(
    world: World, distributor: Distributor
) -> None:
    distributor.up = False
    other = world.client("ivo")
    world.client("ivo").post(reverse("account-delete"), {"password": PASSWORD})
    left = Account.objects.get(pk=world.people["ivo"].pk)
    assert not left.is_active
    assert "ivo" not in left.email
    assert not left.has_usable_password()
    assert WalletLink.objects.get(account=left).status == "removing"
    assert other.get(reverse("account")).status_code == 302, "every session ends"
    distributor.up = True
    deliveries.sweep()
    erasing.finish_erasures()
    assert not Account.objects.filter(pk=left.pk).exists()


def test_a_running_job_must_be_stopped_first(world: World) -> None:
    Job.objects.filter(pk=world.order.job_id).update(status="running")
    client = world.client("carla")
    assert "stop it first" in client.get(reverse("account-delete")).content.decode()
    assert client.post(reverse("account-delete"), {"password": PASSWORD}).status_code == 422
    assert Account.objects.filter(email="carla@people.example").exists()


def test_orders_stay_without_a_name(world: World) -> None:
    Job.objects.filter(pk=world.order.job_id).update(status="settled")
    world.client("carla").post(reverse("account-delete"), {"password": PASSWORD})
    order = Order.objects.get(pk=world.order.pk)
    assert order.consumer.email.endswith("@deleted.invalid")
    assert not order.consumer.is_active
    assert not order.consumer.roles.exists()


@pytest.mark.parametrize(("who", "words"), [("alice", "own a collective"), ("ada", "an administrator")])
def test_what_others_rely_on_is_settled_first(world: World, who: str, words: str) -> None:
    assert words in world.client(who).get(reverse("account-delete")).content.decode()
    with pytest.raises(ValueError, match="obstacles"):
        erasing.erase(account=world.people[who])
