"""Deleting an account (GDPR article 17): the person goes, the books stay without a name.

Open subscriptions are revoked as by the button; wallets are unpaired; links, codes, answers, letters, addresses, factors and
sessions are deleted. Orders, collectives and algorithms are contracts with others: their rows stay with an account that has no
name, no address and no way in. An account without such rows is deleted whole.
"""

from __future__ import annotations

import uuid
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import ProtectedError
from django.utils import timezone
from django.utils.translation import gettext as _

from collectives import selectors as collectives
from collectives.models.jobs import ENDED, Job
from marketplace.accounts.models import Account
from marketplace.individuals import selectors as individuals
from marketplace.individuals import services
from marketplace.individuals.models import PairingCode, SubscriptionLink, WalletLink
from marketplace.jobs.models import Order
from marketplace.settlement import selectors as money

NOBODY = "@deleted.invalid"
OVER = ENDED | {Job.Status.SETTLED, Job.Status.RETURNED}


def obstacles(account: Account) -> list[str]:
    """What must be done first, in sentences; empty when the account can go."""
    found = []
    if account.is_staff:
        found.append(_("You are an administrator: another administrator must take that from you first."))
    if any(card.collective.status == "active" for card in collectives.owned_by(account)):
        found.append(
            _("You own a collective that people are subscribed to: ask an administrator to suspend it first.")
        )
    orders = list(Order.objects.filter(consumer=account))
    jobs = collectives.jobs_by_id(order.job_id for order in orders)
    if any(job.status not in OVER and job.status != Job.Status.VALIDATED for job in jobs.values()):
        found.append(
            _("A job of yours is not over: stop it first; the rest of its budget comes back to you.")
        )
    funds = money.funds(account)
    if funds["wallet"] is not None and funds["balance"] is None:
        found.append(
            _("The chain does not answer, so we cannot see whether you still have funds. Try later.")
        )
    elif funds["balance"] or funds["in_escrow"]:
        found.append(_("You have funds here: withdraw them first."))
    return found


def erase(*, account: Account) -> None:
    """Forget the person. Call only without `obstacles`.

    Raises:
        ValueError: there are obstacles (a bug of the caller).
    """
    if obstacles(account):
        raise ValueError("an account with obstacles is not erased")
    for link in SubscriptionLink.objects.filter(account=account, status__in=individuals.OPEN):
        services.revoke(account=account, link=link)
    for wallet in individuals.active_wallets(account):
        services.remove_wallet(account=account, wallet=wallet)
    with transaction.atomic():
        SubscriptionLink.objects.filter(account=account).delete()
        PairingCode.objects.filter(account=account).delete()
        WalletLink.objects.filter(account=account, status=WalletLink.Status.REMOVED).delete()
        WalletLink.objects.filter(account=account).update(label="")
        EmailAddress.objects.filter(user=account).delete()
        Authenticator.objects.filter(user=account).delete()
        account.api_tokens.all().delete()
        _end_sessions(account)
        account.roles.clear()
        account.email, account.first_name, account.last_name = f"{uuid.uuid4().hex}{NOBODY}", "", ""
        account.is_active, account.last_login = False, None
        account.set_unusable_password()
        account.save()
    _finish(account)


def finish_erasures() -> None:
    """Accounts that waited for the wallet service to forget a mailbox."""
    for account in Account.objects.filter(is_active=False, email__endswith=NOBODY):
        _finish(account)


def _finish(account: Account) -> None:
    WalletLink.objects.filter(account=account, status=WalletLink.Status.REMOVED).delete()
    if WalletLink.objects.filter(account=account).exists():
        return
    try:
        with transaction.atomic():
            account.delete()
    except ProtectedError:
        return  # orders, collectives or algorithms keep the empty account


def _end_sessions(account: Account) -> None:
    key = str(account.pk)
    for session in Session.objects.filter(expire_date__gt=timezone.now()).iterator():
        held: dict[str, Any] = session.get_decoded()
        if held.get("_auth_user_id") == key:
            session.delete()
