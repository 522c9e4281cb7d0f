"""Reads of "My wallet". Every one starts from the account: nobody reads somebody else's links."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from collectives import selectors as collectives
from collectives.models import Admission
from marketplace.individuals import clients
from marketplace.individuals.errors import IndividualError
from marketplace.individuals.models import NoticeChoice, PairingCode, SubscriptionLink, WalletLink

Link = SubscriptionLink.Status
OPEN = (Link.SENDING, Link.OFFERED, Link.SUBSCRIBED)


@dataclass(frozen=True, kw_only=True)
class NamedLink:
    """A link with the name of its collective."""

    link: SubscriptionLink
    name: str


@dataclass(frozen=True, kw_only=True)
class OpenNotice:
    """A notice for one of the person's subscriptions, and what they clicked here last.

    `agreed`: the terms they signed name the algorithm; there is nothing to answer.
    """

    link: SubscriptionLink
    admission: Admission
    choice: NoticeChoice | None
    agreed: bool = False

    @property
    def asks(self) -> bool:
        """Whether there is something to answer before a date."""
        return self.admission.status == Admission.Status.ANNOUNCED and not self.agreed


@dataclass(frozen=True, kw_only=True)
class WalletState:
    """How the wallet service sees a wallet: `state` is connected, away, or unknown (the service does not answer)."""

    state: str
    last_seen: int | None = None


def wallets(account: Any) -> list[WalletLink]:
    return list(WalletLink.objects.filter(account=account).exclude(status=WalletLink.Status.REMOVED))


def active_wallets(account: Any) -> list[WalletLink]:
    return [wallet for wallet in wallets(account) if wallet.status == WalletLink.Status.ACTIVE]


def wallet(account: Any, wallet_id: uuid.UUID) -> WalletLink | None:
    return WalletLink.objects.filter(account=account, pk=wallet_id).first()


def wallet_state(found: WalletLink) -> WalletState:
    """Asks the wallet service; never raises."""
    try:
        seen = clients.mailbox_state(found.mailbox_key)
    except IndividualError:
        return WalletState(state="unknown")
    return WalletState(state="connected" if seen.connected else "away", last_seen=seen.last_seen)


def pairing(account: Any, pairing_id: uuid.UUID) -> PairingCode | None:
    return PairingCode.objects.select_related("wallet").filter(account=account, pk=pairing_id).first()


def link(account: Any, link_id: uuid.UUID) -> SubscriptionLink | None:
    return SubscriptionLink.objects.select_related("wallet").filter(account=account, pk=link_id).first()


def open_link(account: Any, collective_id: uuid.UUID) -> SubscriptionLink | None:
    return SubscriptionLink.objects.filter(
        account=account, collective_id=collective_id, status__in=OPEN
    ).first()


def links(account: Any) -> list[NamedLink]:
    """Open ones first, then what ended, newest first. Two queries whatever their number."""
    found = list(SubscriptionLink.objects.filter(account=account).select_related("wallet"))
    found.sort(key=lambda row: not row.open)
    known = collectives.names(row.collective_id for row in found)
    return [NamedLink(link=row, name=known.get(row.collective_id, "")) for row in found]


def open_notices(account: Any) -> list[OpenNotice]:
    """Running notices for what the person is subscribed to, the soonest first."""
    mine = {
        row.collective_id: row
        for row in SubscriptionLink.objects.filter(account=account, status=Link.SUBSCRIBED)
    }
    named = collectives.agreed_by_subscribing(row.terms_hash for row in mine.values())
    running = [
        row
        for row in collectives.notices_for(mine)
        if (mine[row.collective_id].terms_hash, row.algorithm.manifest_hash) not in named
    ]
    clicked = _clicked([mine[row.collective_id] for row in running])
    return [
        OpenNotice(
            link=mine[row.collective_id],
            admission=row,
            choice=clicked.get((mine[row.collective_id].pk, str(row.pk))),
        )
        for row in running
    ]


def algorithms(found: SubscriptionLink) -> list[OpenNotice]:
    """Every algorithm announced for this subscription, running notice or not, with what the person clicked here last."""
    clicked = _clicked([found])
    announced = collectives.admissions(found.collective_id)
    named = collectives.agreed_by_subscribing([found.terms_hash])
    return [
        OpenNotice(
            link=found,
            admission=row,
            choice=clicked.get((found.pk, str(row.pk))),
            agreed=(found.terms_hash, row.algorithm.manifest_hash) in named,
        )
        for row in announced
    ]


def last_choice(found: SubscriptionLink, notice_ref: str) -> NoticeChoice | None:
    return found.notice_choices.filter(notice_ref=notice_ref).first()


def _clicked(found: list[SubscriptionLink]) -> dict[tuple[Any, str], NoticeChoice]:
    rows = NoticeChoice.objects.filter(link__in=found).order_by("created_at")
    return {(row.link_id, row.notice_ref): row for row in rows}
