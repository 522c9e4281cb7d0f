"""What the site keeps about a person, as one document for them alone (GDPR articles 15 and 20).

The wallet's own data is not here: the site never had it. `python -m wallets.agent` exports that.
"""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator

from collectives import selectors as collectives
from marketplace.accounts.models import Account
from marketplace.individuals.models import NoticeChoice, NoticeMail, SubscriptionLink, WalletLink
from marketplace.jobs.models import Metric, Order
from marketplace.settlement.models import ConsumerWallet, FundsMovement


def export(account: Account) -> dict[str, Any]:
    """Every row of the market domain that leads to this account, as plain values."""
    return {
        "account": _account(account),
        "wallets": list(
            WalletLink.objects.filter(account=account).values("label", "status", "paired_at", "mailbox_key")
        ),
        "subscriptions": _subscriptions(account),
        "orders": _orders(account),
        "funds": list(ConsumerWallet.objects.filter(account=account).values("address")),
        "brought_and_sent": [
            {"kind": row.kind, "address": row.address, "amount": str(int(row.amount)), "at": row.created_at}
            for row in FundsMovement.objects.filter(wallet__account=account)
        ],
        "collectives": [
            {"id": str(card.collective.pk), "name": card.collective.name, "status": card.collective.status}
            for card in collectives.owned_by(account)
        ],
        "algorithms": [
            {
                "manifest_hash": row.manifest_hash,
                "name": row.name,
                "status": row.status,
                "submitted": row.created_at,
            }
            for row in collectives.algorithms_by(account)
        ],
        "where_the_rest_is": (
            "Your records, keys, visits and consent receipts are in your wallet. Earnings are paid to the address in your "
            "wallet; this site does not know which one that is."
        ),
    }


def _account(account: Account) -> dict[str, Any]:
    return {
        "email": account.email,
        "language": account.language,
        "roles": [grant.role for grant in account.roles.all()],
        "joined": account.date_joined,
        "last_login": account.last_login,
        "addresses": list(EmailAddress.objects.filter(user=account).values("email", "verified", "primary")),
        "tokens": list(account.api_tokens.values("label", "created_at", "last_used_at")),
        "second_factors": list(
            Authenticator.objects.filter(user=account).values("type", "created_at", "last_used_at")
        ),
    }


def _subscriptions(account: Account) -> list[dict[str, Any]]:
    rows = list(SubscriptionLink.objects.filter(account=account))
    names = collectives.names(row.collective_id for row in rows)
    choices = NoticeChoice.objects.filter(link__account=account).values(
        "link_id", "notice_ref", "choice", "status", "created_at"
    )
    letters = NoticeMail.objects.filter(link__account=account).values(
        "link_id", "notice_ref", "kind", "status", "created_at"
    )
    fields = (
        *("collective_id", "status", "terms_hash", "terms_version", "subscription_key"),
        *("created_at", "subscribed_at", "ended_at", "ended_by", "permit_deleted_at"),
    )
    return [
        {name: getattr(row, name) for name in fields}
        | {
            "collective": names.get(row.collective_id, ""),
            "answers": [_without_link(found) for found in choices if found["link_id"] == row.pk],
            "letters": [_without_link(found) for found in letters if found["link_id"] == row.pk],
        }
        for row in rows
    ]


def _without_link(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "link_id"}


def _orders(account: Account) -> list[dict[str, Any]]:
    orders = list(Order.objects.filter(consumer=account))
    jobs = collectives.jobs_by_id(order.job_id for order in orders)
    metrics = list(
        Metric.objects.filter(order__consumer=account).values("order_id", "checkpoint", "name", "value")
    )
    return [
        {
            "job_id": order.job_id,
            "collective_id": order.collective_id,
            "budget": str(int(order.budget)),
            "rate": str(int(order.rate)),
            "ordered": order.created_at,
            "request": jobs[order.job_id].request if order.job_id in jobs else "",
            "status": jobs[order.job_id].status if order.job_id in jobs else "",
            "metrics": [
                {"checkpoint": m["checkpoint"], "name": m["name"], "value": m["value"]}
                for m in metrics
                if m["order_id"] == order.pk
            ],
        }
        for order in orders
    ]
