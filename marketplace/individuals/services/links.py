"""Offers to a wallet, what it answered, revoking, notices: the life of a SubscriptionLink."""

from __future__ import annotations

import secrets
import uuid
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from collectives import selectors as collectives
from collectives.errors import CollectiveError
from collectives.services import subscriptions
from marketplace.individuals.errors import IndividualError
from marketplace.individuals.models import NoticeChoice, SubscriptionLink, WalletLink
from marketplace.individuals.services import deliveries
from marketplace.individuals.services.checks import check_signature, mine

OFFER_SECONDS = 7 * 24 * 3600
Link = SubscriptionLink.Status
OPEN = (Link.SENDING, Link.OFFERED, Link.SUBSCRIBED)


def send_offer(
    *,
    account: Any,
    collective_id: uuid.UUID,
    wallet: WalletLink | None = None,
    valid_seconds: int = 0,
) -> SubscriptionLink:
    """Send the current terms to the person's wallet, which checks and signs them. Kept and sent later if nobody answers now.

    `valid_seconds`: how long the permission shall last at most; the wallet signs no longer one. 0: as long as the terms say.

    Raises:
        IndividualError: no wallet, no such or a suspended collective, an open offer or subscription already.
    """
    chosen = wallet or WalletLink.objects.filter(account=account, status=WalletLink.Status.ACTIVE).first()
    if chosen is None:
        raise IndividualError(
            "no_wallet", _("Pair a wallet first: your wallet is what subscribes."), status=409
        )
    mine(account, chosen)
    terms = collectives.current_terms(collective_id)
    if terms is None:
        raise IndividualError("unknown_collective", _("There is no such collective."), status=404)
    if terms.collective.status != "active":
        raise IndividualError(
            "suspended",
            _("This collective is suspended and takes no subscriptions now: %(why)s")
            % {"why": terms.collective.status_reason},
            status=409,
        )
    now = timezone.now()
    deliveries.expire_offers()
    try:
        with transaction.atomic():
            link = SubscriptionLink.objects.create(
                account=account,
                wallet=chosen,
                collective_id=collective_id,
                terms_hash=terms.hash,
                terms_version=terms.version,
                offer_ref=secrets.token_hex(16),
                created_at=now,
                expires_at=now + timedelta(seconds=OFFER_SECONDS),
                valid_seconds=valid_seconds,
            )
    except IntegrityError as error:
        raise IndividualError(
            "already_open", _("You have an offer or a subscription with this collective already."), status=409
        ) from error
    deliveries.quietly(lambda: deliveries.deliver_offer(link))
    return link


def record_link(
    *,
    offer_ref: str,
    mailbox_key: str,
    collective_id: uuid.UUID,
    subscription_key: str,
    state: str,
    created: int,
    signature: str,
) -> SubscriptionLink:
    """Note what the wallet says it did with an offer. Repeating it changes nothing; a revoked link never comes back.

    `revoked` also answers a revocation from the web: the wallet has deleted its permit.

    Raises:
        IndividualError: bad signature, or no such offer for this wallet (deleted links are not made again).
    """
    body = {
        "offer_ref": offer_ref,
        "mailbox_key": mailbox_key,
        "collective_id": str(collective_id),
        "subscription_key": subscription_key,
        "state": state,
        "created": created,
    }
    check_signature(mailbox_key, b"cssi/v1/link", body, signature)
    with transaction.atomic():
        link = (
            SubscriptionLink.objects.select_for_update(of=("self",))
            .filter(offer_ref=offer_ref, collective_id=collective_id, wallet__mailbox_key=mailbox_key)
            .first()
        )
        if link is None:
            raise IndividualError("unknown_offer", _("There is no such offer for this wallet."), status=404)
        withdrawn = state == "subscribed" and link.status == Link.REVOKED
        if not withdrawn:
            _apply(link, state, subscription_key)
    if withdrawn:
        # The person withdrew the offer here while the wallet was accepting it: the newer wish wins.
        stop_asking(collective_id, subscription_key)
    return link


def _apply(link: SubscriptionLink, state: str, subscription_key: str) -> None:
    now = timezone.now()
    before = link.status
    if state == "subscribed" and before in (Link.SENDING, Link.OFFERED, Link.EXPIRED, Link.DECLINED):
        if not subscription_key:
            raise IndividualError("malformed", _("A subscription names its key."))
        link.status, link.subscription_key, link.subscribed_at = Link.SUBSCRIBED, subscription_key, now
        link.ended_at, link.ended_by = None, ""
        link.permit_deleted_at = None
    elif state == "declined" and before in (Link.SENDING, Link.OFFERED, Link.EXPIRED):
        link.status, link.ended_at, link.ended_by = Link.DECLINED, now, SubscriptionLink.By.WALLET
    elif state == "revoked" and before != Link.REVOKED:
        link.status, link.ended_at, link.ended_by = Link.REVOKED, now, SubscriptionLink.By.WALLET
        link.subscription_key = link.subscription_key or subscription_key
    if state == "revoked":
        # Also after a revocation here: the wallet says so once it has deleted its permit.
        link.permit_deleted_at = link.permit_deleted_at or now
    link.save(
        update_fields=[
            *("status", "subscription_key", "subscribed_at", "ended_at", "ended_by", "permit_deleted_at")
        ]
    )


def revoke(*, account: Any, link: SubscriptionLink) -> SubscriptionLink:
    """End a subscription from the web: the collective's side stops at once; the wallet deletes its permit at its next contact.

    An offer that the wallet has not answered is withdrawn here; a wallet that still accepts it is revoked then.
    """
    mine(account, link)
    if link.status == Link.SUBSCRIBED:
        stop_asking(link.collective_id, link.subscription_key)
    SubscriptionLink.objects.filter(pk=link.pk, status__in=OPEN).update(
        status=Link.REVOKED, ended_at=timezone.now(), ended_by=SubscriptionLink.By.WEB
    )
    link.refresh_from_db()
    return link


def delete_link(*, account: Any, link: SubscriptionLink) -> None:
    """Forget that this subscription is this person's. Only ended ones: an open one is revoked first."""
    mine(account, link)
    if link.open:
        raise IndividualError(
            "still_open", _("Revoke the subscription first; then the entry can be deleted."), status=409
        )
    link.delete()


def choose_on_notice(*, account: Any, link: SubscriptionLink, notice_ref: str, choice: str) -> NoticeChoice:
    """Pass a choice on to the wallet, which signs the answer. Leaving also stops here at once."""
    mine(account, link)
    if link.status != Link.SUBSCRIBED or link.wallet is None:
        raise IndividualError(
            "not_subscribed", _("This subscription has ended or its wallet was removed."), status=409
        )
    row = NoticeChoice.objects.create(
        link=link, notice_ref=notice_ref, choice=NoticeChoice.Choice(choice), created_at=timezone.now()
    )
    if choice == NoticeChoice.Choice.LEAVE:
        revoke(account=account, link=link)
        NoticeChoice.objects.filter(pk=row.pk).update(status=NoticeChoice.Status.DONE)
    else:
        deliveries.quietly(lambda: deliveries.deliver_choice(row))
    row.refresh_from_db()
    return row


def stop_asking(collective_id: uuid.UUID, subscription_key: str) -> None:
    """The collective's side ends now; the order to the distributor is kept until it arrives."""
    try:
        subscriptions.revoke_from_web(collective_id=collective_id, subscription_key=subscription_key)
    except CollectiveError as error:
        if error.code != "unknown_subscription":
            raise
