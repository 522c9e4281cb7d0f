"""Offers, what the wallet says about them, revoking from both sides, each with the other side down."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse
from django.utils import timezone

from collectives.models import OutgoingCall, Subscription
from collectives.terms.envelope import SignedDocument
from collectives.terms.permit import Offer
from marketplace.individuals import services
from marketplace.individuals.errors import IndividualError
from marketplace.individuals.models import NoticeChoice, SubscriptionLink, WalletLink
from tests.apps import cast
from tests.apps.cast import World
from tests.apps.individuals.conftest import Wire
from tests.apps.individuals.wallet import Wallet
from wallets.distributor.models import Mail

pytestmark = pytest.mark.django_db(databases=["default", "distributor"])
KEY = "ef" * 32


@pytest.fixture
def paired(world: World, wire: Wire, wallet: Wallet) -> Wallet:
    SubscriptionLink.objects.all().delete()
    WalletLink.objects.all().delete()
    wallet.pair(services.code_of(services.start_pairing(account=world.people["ivo"])))
    return wallet


def offer(world: World) -> SubscriptionLink:
    return services.send_offer(account=world.people["ivo"], collective_id=world.collective.pk)


def subscribed(world: World, wallet: Wallet) -> SubscriptionLink:
    """A link whose wallet subscribed; the collective has the subscription's row."""
    link = offer(world)
    terms = world.collective.terms.get()
    Subscription.objects.create(
        collective=world.collective,
        terms=terms,
        subscription_key=KEY,
        document={},
        envelope_hash="00" * 32,
        agreement_hash="11" * 32,
        permit={},
        expires_at=timezone.now() + timedelta(days=365),
    )
    assert wallet.says(link.offer_ref, world.collective.pk, "subscribed", KEY).status_code == 200
    link.refresh_from_db()
    return link


def test_an_offer_lies_in_the_mailbox_with_the_signed_terms(world: World, paired: Wallet) -> None:
    link = offer(world)
    link.refresh_from_db()
    assert link.status == "offered"
    mail = Mail.objects.get(key=paired.key, kind="offer")
    document = Offer.parse(json.loads(mail.body))
    assert document.offer_ref == link.offer_ref
    terms = SignedDocument.from_json(document.terms)
    terms.open("terms", world.collective.public_key)
    assert terms.hash == link.terms_hash


def test_with_the_distributor_down_the_offer_is_kept_and_sent_later(
    world: World, paired: Wallet, wire: Wire
) -> None:
    wire.down = True
    link = offer(world)
    assert link.status == "sending"
    text = world.client("ivo").get(reverse("subscription", args=[link.pk])).content.decode()
    assert "Kept, not sent yet" in text
    wire.down = False
    assert services.sweep() == 1
    link.refresh_from_db()
    assert link.status == "offered"


def test_an_offer_is_sent_once_even_if_the_answer_was_lost(world: World, paired: Wallet) -> None:
    link = offer(world)
    SubscriptionLink.objects.filter(pk=link.pk).update(status="sending")
    services.sweep()
    link.refresh_from_db()
    assert link.status == "offered"
    assert Mail.objects.filter(key=paired.key, kind="offer").count() == 1


def test_one_open_link_per_collective(world: World, paired: Wallet) -> None:
    first = offer(world)
    with pytest.raises(IndividualError) as error:
        offer(world)
    assert error.value.code == "already_open"
    services.revoke(account=world.people["ivo"], link=first)
    assert offer(world).pk != first.pk


def test_without_a_wallet_nothing_can_be_offered(world: World) -> None:
    with pytest.raises(IndividualError) as error:
        services.send_offer(account=world.people["charlie"], collective_id=world.collective.pk)
    assert error.value.code == "no_wallet"


def test_a_suspended_collective_is_not_offered(world: World, paired: Wallet) -> None:
    cast.services.suspend(actor=world.people["ada"], collective=world.collective, reason="Under review.")
    with pytest.raises(IndividualError) as error:
        offer(world)
    assert error.value.code == "suspended"


def test_the_wallets_word_makes_the_link(world: World, paired: Wallet) -> None:
    link = subscribed(world, paired)
    assert (link.status, link.subscription_key) == ("subscribed", KEY)
    assert paired.says(link.offer_ref, world.collective.pk, "subscribed", KEY).status_code == 200


def test_a_declined_offer_says_so(world: World, paired: Wallet) -> None:
    link = offer(world)
    paired.says(link.offer_ref, world.collective.pk, "declined")
    link.refresh_from_db()
    assert link.status == "declined"


def test_a_mail_the_wallet_refused_ends_the_offer(world: World, paired: Wallet) -> None:
    link = offer(world)
    Mail.objects.filter(key=paired.key, kind="offer").update(state="refused")
    services.sweep()
    link.refresh_from_db()
    assert (link.status, link.ended_by) == ("declined", "wallet")


def test_an_unanswered_offer_expires(world: World, paired: Wallet) -> None:
    link = offer(world)
    SubscriptionLink.objects.filter(pk=link.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    services.sweep()
    link.refresh_from_db()
    assert link.status == "expired"


def test_another_wallet_cannot_speak_for_this_one(world: World, paired: Wallet) -> None:
    link = offer(world)
    answer = Wallet().says(link.offer_ref, world.collective.pk, "subscribed", KEY)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_offer")
    forged = paired.link(link.offer_ref, world.collective.pk, "subscribed", KEY) | {
        "subscription_key": "aa" * 32
    }
    from tests.apps.individuals.wallet import post

    assert post("links", forged).status_code == 403


def test_web_revoke_stops_at_once_and_leaves_an_order(world: World, paired: Wallet) -> None:
    link = subscribed(world, paired)
    world.client("ivo").post(reverse("revoke", args=[link.pk]))
    link.refresh_from_db()
    assert (link.status, link.ended_by) == ("revoked", "web")
    assert Subscription.objects.get(subscription_key=KEY).status == "revoked"
    order = OutgoingCall.objects.get(key=f"revoked:{KEY}")
    assert (order.method, order.body) == ("DELETE", {"notify": True})


def test_while_the_order_waits_the_page_says_pending(world: World, paired: Wallet) -> None:
    link = subscribed(world, paired)
    client = world.client("ivo")
    client.post(reverse("revoke", args=[link.pk]))
    url = reverse("subscription", args=[link.pk])
    text = client.get(url).content.decode()
    assert "Pending:" in text
    assert "python -m wallets.agent revoke" in text
    OutgoingCall.objects.update(status="done")
    text = client.get(url).content.decode()
    assert "Pending:" not in text
    assert "We stopped asking your wallet at once." in text
    assert "not confirmed yet" in text
    assert "start it, and it deletes the permit as soon as it connects" in text
    assert "python -m wallets.agent revoke" in text
    assert 'hx-trigger="every 10s"' in text


def test_after_a_web_revocation_the_page_says_when_the_wallet_confirmed(world: World, paired: Wallet) -> None:
    link = subscribed(world, paired)
    client = world.client("ivo")
    client.post(reverse("revoke", args=[link.pk]))
    OutgoingCall.objects.update(status="done")
    assert "not confirmed by your wallet yet" in client.get(reverse("wallet")).content.decode()
    assert paired.says(link.offer_ref, world.collective.pk, "revoked", KEY).status_code == 200
    link.refresh_from_db()
    assert (link.status, link.ended_by) == ("revoked", "web")
    assert link.permit_deleted_at >= link.ended_at
    said = link.permit_deleted_at
    text = client.get(reverse("subscription", args=[link.pk])).content.decode()
    assert "confirmed by your wallet" in text
    assert "not confirmed" not in text
    assert "hx-trigger" not in text.split('id="link-state"')[1].split(">")[0]
    assert "not confirmed" not in client.get(reverse("wallet")).content.decode()
    paired.says(link.offer_ref, world.collective.pk, "revoked", KEY)
    link.refresh_from_db()
    assert link.permit_deleted_at == said


def test_wallet_revoke_is_shown_when_the_wallet_says_so(world: World, paired: Wallet) -> None:
    link = subscribed(world, paired)
    paired.says(link.offer_ref, world.collective.pk, "revoked", KEY)
    link.refresh_from_db()
    assert (link.status, link.ended_by) == ("revoked", "wallet")
    assert (
        "Revoked in your wallet"
        in world.client("ivo").get(reverse("subscription", args=[link.pk])).content.decode()
    )


def test_a_late_subscribed_never_brings_a_revoked_link_back(world: World, paired: Wallet) -> None:
    link = subscribed(world, paired)
    services.revoke(account=world.people["ivo"], link=link)
    assert paired.says(link.offer_ref, world.collective.pk, "subscribed", KEY).status_code == 200
    link.refresh_from_db()
    assert link.status == "revoked"


def test_an_offer_withdrawn_while_the_wallet_accepts_is_revoked(world: World, paired: Wallet) -> None:
    link = offer(world)
    services.revoke(account=world.people["ivo"], link=link)
    Subscription.objects.create(
        collective=world.collective,
        terms=world.collective.terms.get(),
        subscription_key=KEY,
        document={},
        envelope_hash="00" * 32,
        agreement_hash="11" * 32,
        permit={},
        expires_at=timezone.now() + timedelta(days=365),
    )
    paired.says(link.offer_ref, world.collective.pk, "subscribed", KEY)
    assert Subscription.objects.get(subscription_key=KEY).status == "revoked"
    link.refresh_from_db()
    assert link.status == "revoked"


def test_an_ended_entry_can_be_deleted_and_an_open_one_cannot(world: World, paired: Wallet) -> None:
    link = subscribed(world, paired)
    client = world.client("ivo")
    assert (
        "Revoke the subscription first"
        in client.post(reverse("forget", args=[link.pk]), follow=True).content.decode()
    )
    client.post(reverse("revoke", args=[link.pk]))
    client.post(reverse("forget", args=[link.pk]))
    assert not SubscriptionLink.objects.exists()
    assert paired.says(link.offer_ref, world.collective.pk, "revoked", KEY).status_code == 404


def test_a_choice_on_a_notice_goes_to_the_wallet(world: World, paired: Wallet) -> None:
    link = subscribed(world, paired)
    url = reverse("notice", args=[link.pk, world.admission.pk])
    text = world.client("ivo").post(url, {"choice": "without"}, follow=True).content.decode()
    assert "Your wallet signs it at its next contact" in text
    mail = Mail.objects.get(key=paired.key, kind="notice")
    assert json.loads(mail.body) == {
        "collective_id": str(world.collective.pk),
        "notice_ref": str(world.admission.pk),
        "choice": "without",
    }
    mail.state = "done"
    mail.save()
    services.sweep()
    assert NoticeChoice.objects.get().status == "done"


def test_an_answer_may_change_and_leaving_ends_the_subscription(world: World, paired: Wallet) -> None:
    link = subscribed(world, paired)
    url = reverse("notice", args=[link.pk, world.admission.pk])
    client = world.client("ivo")
    client.post(url, {"choice": "with"})
    client.post(url, {"choice": "leave"})
    link.refresh_from_db()
    assert link.status == "revoked"
    assert Subscription.objects.get(subscription_key=KEY).status == "revoked"
    assert [row.choice for row in NoticeChoice.objects.order_by("created_at")] == ["with", "leave"]


def test_with_the_distributor_down_the_answer_is_kept(world: World, paired: Wallet, wire: Wire) -> None:
    link = subscribed(world, paired)
    wire.down = True
    url = reverse("notice", args=[link.pk, world.admission.pk])
    text = world.client("ivo").post(url, {"choice": "with"}, follow=True).content.decode()
    assert "Kept: the wallet service does not answer now" in text
    wire.down = False
    services.sweep()
    assert NoticeChoice.objects.get().status == "sent"


def test_no_choice_or_an_unknown_one_changes_nothing(world: World, paired: Wallet) -> None:
    link = subscribed(world, paired)
    url = reverse("notice", args=[link.pk, world.admission.pk])
    for values in ({}, {"choice": "maybe"}):
        answer = world.client("ivo").post(url, values)
        assert answer.status_code == 422
        assert "Choose one of the three answers." in answer.content.decode()
    assert not NoticeChoice.objects.exists()


def test_a_subscribed_link_without_a_key_cannot_be_stored(world: World, paired: Wallet) -> None:
    link = offer(world)
    with pytest.raises(IntegrityError), transaction.atomic():
        SubscriptionLink.objects.filter(pk=link.pk).update(status="subscribed")


def test_subscribing_from_the_page_sends_the_offer(world: World, paired: Wallet) -> None:
    client = world.client("ivo")
    answer = client.post(reverse("subscribe", args=[world.collective.pk]), follow=True)
    assert "Waiting for your wallet" in answer.content.decode()
    assert Mail.objects.filter(kind="offer").count() == 1
    again = client.get(reverse("subscribe", args=[world.collective.pk]))
    assert again.status_code == 302  # to the open offer: nobody is asked twice


def test_an_answer_can_be_changed_after_the_date(world: World, paired: Wallet) -> None:
    link = subscribed(world, paired)
    world.admission.status = "active"
    world.admission.save()
    client = world.client("ivo")
    url = reverse("notice", args=[link.pk, world.admission.pk])
    assert url in client.get(reverse("subscription", args=[link.pk])).content.decode()
    client.post(url, {"choice": "without"})
    assert NoticeChoice.objects.get().choice == "without"


def test_the_consent_screen_proposes_the_shortest_period_and_the_wallet_is_told(
    world: World, paired: Wallet
) -> None:
    other = cast.register(world.people["alice"], "Another question")
    client, url = world.client("ivo"), reverse("subscribe", args=[other.pk])
    page = client.get(url).content.decode()
    day = 24 * 3600
    assert re.findall(r'<option value="(\d+)"( selected)?>([^<]*)</option>', page) == [
        (str(90 * day), " selected", "90 days"),
        (str(180 * day), "", "180 days"),
        ("0", "", "365 days"),
    ]
    asked = {"90 days": {"lasts": str(90 * day)}, "as proposed": {}, "the whole period": {"lasts": "0"}}
    told = []
    for body in asked.values():
        client.post(url, body)
        link = SubscriptionLink.objects.get(collective_id=other.pk, status="offered")
        mail = Mail.objects.get(key=paired.key, ref=f"offer:{link.offer_ref}")
        told.append(Offer.parse(json.loads(mail.body)).valid_seconds)
        services.revoke(account=world.people["ivo"], link=link)
    assert told == [90 * day, 90 * day, 0]
    before = SubscriptionLink.objects.count()
    assert client.post(url, {"lasts": str(10**9)}).status_code == 422
    assert SubscriptionLink.objects.count() == before
