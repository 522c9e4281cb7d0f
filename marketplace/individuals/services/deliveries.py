"""What must reach a wallet even if nobody answers now: rows say what waits, the sweep sends it until it arrives."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.utils import timezone

from collectives import selectors as collectives
from marketplace.individuals import clients
from marketplace.individuals.errors import DistributorDown, IndividualError
from marketplace.individuals.models import NoticeChoice, SubscriptionLink, WalletLink

log = structlog.get_logger(__name__)
CHOICE_SECONDS = 7 * 24 * 3600
Link = SubscriptionLink.Status


def sweep() -> int:
    """Send what could not be sent, look what became of what was sent, end old offers; returns how many calls arrived."""
    expire_offers()
    links = SubscriptionLink.objects.select_related("wallet")
    choices = NoticeChoice.objects.select_related("link__wallet")
    recent = timezone.now() - timedelta(days=30)
    work: list[Callable[[], None]] = [
        *(partial(deliver_offer, link) for link in links.filter(status=Link.SENDING)),
        *(partial(look_after_offer, link) for link in links.filter(status=Link.OFFERED)),
        *(partial(deliver_removal, w) for w in WalletLink.objects.filter(status=WalletLink.Status.REMOVING)),
        *(partial(deliver_choice, row) for row in choices.filter(status=NoticeChoice.Status.SENDING)),
        *(
            partial(look_after_choice, row)
            for row in choices.filter(status=NoticeChoice.Status.SENT, created_at__gt=recent)
        ),
    ]
    arrived = 0
    for step in work:
        try:
            step()
        except DistributorDown:
            break
        except IndividualError as error:
            log.info("delivery_refused", code=error.code)
            continue
        arrived += 1
    return arrived


def expire_offers() -> int:
    waiting = SubscriptionLink.objects.filter(
        status__in=(Link.SENDING, Link.OFFERED), expires_at__lte=timezone.now()
    )
    # Looked for first: on SQLite a change that finds nothing waits for the one writer all the same.
    return waiting.update(status=Link.EXPIRED, ended_at=timezone.now()) if waiting.exists() else 0


def deliver_offer(link: SubscriptionLink) -> None:
    if link.wallet is None:
        _end_offer(link)
        return
    terms = collectives.current_terms(link.collective_id)
    if terms is None:
        _end_offer(link)
        return
    body = {
        "version": 1,
        "collective_id": str(link.collective_id),
        "terms": terms.envelope(),
        "offer_ref": link.offer_ref,
        "reply_url": f"{settings.SITE_URL.rstrip('/')}/api/v1/wallets/links",
    }
    body |= {"valid_seconds": link.valid_seconds} if link.valid_seconds else {}
    try:
        _post(link.wallet, f"offer:{link.offer_ref}", "offer", body, int(link.expires_at.timestamp()))
    except DistributorDown:
        raise
    except IndividualError as error:
        if error.status == 404:  # the mailbox is gone: this wallet cannot be reached any more
            _end_offer(link)
            return
        if (
            error.code != "conflict"
        ):  # a conflict means that it lies there already, with the terms of that moment
            raise
    else:
        SubscriptionLink.objects.filter(pk=link.pk).update(terms_hash=terms.hash, terms_version=terms.version)
    SubscriptionLink.objects.filter(pk=link.pk, status=Link.SENDING).update(status=Link.OFFERED)


def look_after_offer(link: SubscriptionLink) -> None:
    """A wallet that refuses the mail (terms it cannot accept, data missing) sends no link; the mail's state says so."""
    if link.wallet is None:
        _end_offer(link)
        return
    try:
        state = clients.message_state(key=link.wallet.mailbox_key, ref=f"offer:{link.offer_ref}")
    except DistributorDown:
        raise
    except IndividualError:
        state = "refused"
    if state in ("refused", "expired"):
        _end_offer(link)


def _end_offer(link: SubscriptionLink) -> None:
    SubscriptionLink.objects.filter(pk=link.pk, status__in=(Link.SENDING, Link.OFFERED)).update(
        status=Link.DECLINED, ended_at=timezone.now(), ended_by=SubscriptionLink.By.WALLET
    )


def deliver_removal(wallet: WalletLink) -> None:
    try:
        clients.delete_mailbox(wallet.mailbox_key)
    except DistributorDown:
        raise
    except IndividualError as error:
        if error.status != 404:
            raise
    WalletLink.objects.filter(pk=wallet.pk, status=WalletLink.Status.REMOVING).update(
        status=WalletLink.Status.REMOVED
    )


def deliver_choice(row: NoticeChoice) -> None:
    wallet = row.link.wallet
    if wallet is None:
        NoticeChoice.objects.filter(pk=row.pk).update(status=NoticeChoice.Status.REFUSED)
        return
    body = {"collective_id": str(row.link.collective_id), "notice_ref": row.notice_ref, "choice": row.choice}
    _post(wallet, f"choice:{row.pk}", "notice", body, int(time.time()) + CHOICE_SECONDS)
    NoticeChoice.objects.filter(pk=row.pk, status=NoticeChoice.Status.SENDING).update(
        status=NoticeChoice.Status.SENT
    )


def look_after_choice(row: NoticeChoice) -> None:
    if row.link.wallet is None:
        return
    state = clients.message_state(key=row.link.wallet.mailbox_key, ref=f"choice:{row.pk}")
    after = {"done": NoticeChoice.Status.DONE, "refused": NoticeChoice.Status.REFUSED}.get(state)
    if after:
        NoticeChoice.objects.filter(pk=row.pk).update(status=after)


def _post(wallet: WalletLink, ref: str, kind: str, body: dict[str, Any], expires: int) -> None:
    clients.post_message(
        key=wallet.mailbox_key,
        ref=ref,
        kind=kind,
        body=json.dumps(body, separators=(",", ":")),
        expires=expires,
    )


def quietly(work: Callable[[], None]) -> None:
    """Try now; what does not arrive is kept and the sweep tries again."""
    try:
        work()
    except IndividualError:
        return
