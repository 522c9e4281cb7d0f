"""What a test does to a running stack from inside: a process of its own on the stack's settings and databases.

JSON lines in, JSON lines out: {"act": name, …} → {"ok": true, "answer": …} or {"ok": false, "code", "detail"}. Only what has no
address for outsiders is done here (accounts, registering with development minima, reading tables); everything else goes over HTTP.
"""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import django

PASSWORD = "correct horse battery"


def people(*, count: int, start: int = 0) -> list[str]:
    """Accounts of individuals, `ivo-<n>@people.example`, that can sign in."""
    from django.contrib.auth.hashers import make_password

    from marketplace.accounts.models import Account, Role

    hashed = make_password(PASSWORD)
    names = [f"ivo-{number}@people.example" for number in range(start, start + count)]
    for name in names:
        account = Account.objects.create(email=name, password=hashed)
        account.grant(Role.INDIVIDUAL)
    return names


def cast(*, faucet: str) -> dict[str, str]:
    """Owner, author, administrator, consumer; the consumer with tokens (base units)."""
    from marketplace.settlement import services as settlement
    from tests.apps import cast as named

    made = {name: named.account(name) for name in ("alice", "aron", "ada", "carla", "charlie")}
    settlement.faucet(made["carla"], int(faucet))
    return {name: account.email for name, account in made.items()}


def collective(*, bucket_min: int, release_min: int) -> dict[str, str]:
    """A development collective of Alice with Aron's algorithm, approved by Ada and announced."""
    from collectives.services import algorithms
    from marketplace.accounts.models import Account
    from tests.apps import cast as named

    alice, aron, ada = (
        Account.objects.get(email=f"{name}@people.example") for name in ("alice", "aron", "ada")
    )
    made = named.register(
        alice, development=True, bucket_min=bucket_min, release_min=release_min, silence="with"
    )
    algorithm = algorithms.submit(actor=aron, manifest=named.MANIFEST)
    algorithms.approve(actor=ada, algorithm=algorithm)
    algorithm.refresh_from_db()
    admission = algorithms.announce(
        actor=alice, collective=made, algorithm=algorithm, reason="The model this collective is for."
    )
    return {
        "collective": str(made.pk),
        "manifest_hash": algorithm.manifest_hash,
        "admission": str(admission.pk),
    }


def admission_status(*, admission: str) -> str:
    from collectives.models import Admission

    return str(Admission.objects.get(pk=admission).status)


def order(*, collective: str, manifest_hash: str, budget: str, max_rounds: int, plan: dict[str, Any]) -> str:
    """Carla's job with a plan of its own, not yet funded."""
    from collectives.services.plan import JobPlan
    from marketplace.accounts.models import Account
    from marketplace.jobs import services

    made = services.order(
        consumer=Account.objects.get(email="carla@people.example"),
        collective_id=uuid.UUID(collective),
        manifest_hash=manifest_hash,
        budget=int(budget),
        max_rounds=max_rounds,
        plan=JobPlan(**plan),
    )
    return str(made.job_id)


def job(*, job: str) -> dict[str, Any]:
    """Status, counts and rounds as the collective knows them."""
    from collectives.models import Job
    from marketplace.jobs.models import Order

    found = Job.objects.get(pk=job)
    names = (
        "number",
        "status",
        "reason",
        "reserved",
        "invited",
        "accepted",
        "delivered",
        "receipts",
        "survivors",
    )
    return {
        "status": found.status,
        "reason": found.reason,
        "earned": found.visits_earned,
        "reserved": found.visits_reserved,
        "budget": found.visits_budget,
        "enrolled": found.enrolled,
        "closed": Order.objects.get(job_id=job).closed,
        "rounds": list(found.rounds.order_by("number").values(*names)),
        "checkpoints": list(found.checkpoints.values("number", "wallets", "aggregate_hash", "hash")),
        "transitions": list(found.transitions.values_list("after", flat=True)),
    }


def money(*, job: str) -> dict[str, Any]:
    """The job's escrow as the chain tells it, the consumer's balance there, and the comparison of ledger and chain."""
    from marketplace.settlement import selectors
    from marketplace.settlement import services as settlement
    from marketplace.settlement.chain import chain, job_bytes

    state = selectors.escrow_state(uuid.UUID(job))
    report = settlement.reconcile()
    on_chain = chain().read(
        "CollectiveEscrow", selectors.address("CollectiveEscrow"), "jobs", job_bytes(uuid.UUID(job))
    )
    return {
        "status": state.status if state else None,
        "budget": str(state.budget) if state else None,
        "spent": str(state.spent) if state else None,
        "refunded": str(state.refunded) if state else None,
        "on_chain": [str(value) for value in on_chain],
        "balance": balance(),
        "reconciled": report.ok,
        "lines": list(report.lines),
    }


def balance() -> str:
    """The consumer's tokens outside of any escrow, as the chain tells them."""
    from marketplace.accounts.models import Account
    from marketplace.settlement import selectors
    from marketplace.settlement import services as settlement
    from marketplace.settlement.chain import chain

    wallet = settlement.consumer_wallet(Account.objects.get(email="carla@people.example"))
    return str(chain().read("DevToken", selectors.address("DevToken"), "balanceOf", wallet.address))


def paid(*, emails: list[str]) -> dict[str, str]:
    """Confirmed payouts of each person's wallet, base units, by e-mail: a join that only a test can make."""
    from marketplace.demo import evidence
    from marketplace.individuals.models import SubscriptionLink

    addresses, by_address = evidence.payout_addresses(), evidence.paid_by_address()
    found: Counter[str] = Counter()
    rows = SubscriptionLink.objects.filter(account__email__in=emails).exclude(subscription_key="")
    for email, key in rows.values_list("account__email", "subscription_key"):
        found[email] += by_address[addresses.get(key, "").removeprefix("0x").lower()]
    return {email: str(found[email]) for email in emails}


def link(*, email: str, collective: str) -> dict[str, Any]:
    """How each side knows one person's subscription: the person's own entry, the collective, the distributor, the chain."""
    from collectives.models import OutgoingCall, Subscription
    from marketplace.individuals.models import SubscriptionLink
    from wallets.distributor.models import Subscriber

    found = SubscriptionLink.objects.get(account__email=email, collective_id=collective)
    known = Subscription.objects.filter(subscription_key=found.subscription_key).first()
    asked = Subscriber.objects.filter(key=found.subscription_key).first()
    return {
        "id": str(found.pk),
        "status": found.status,
        "ended_by": found.ended_by,
        "subscription_key": found.subscription_key,
        "collective": known.status if known else None,
        "revoked_by": known.revoked_by if known else None,
        "permit_signature": known.permit["signature"] if known else "",
        "distributor": asked.state if asked else None,
        "waiting": OutgoingCall.objects.filter(
            path__contains=found.subscription_key or "-", status=OutgoingCall.Status.WAITING
        ).count(),
    }


def rows() -> dict[str, int]:
    """How many rows every table of every domain has."""
    from django.apps import apps

    return {model._meta.label: model._base_manager.count() for model in apps.get_models()}


def _answer(line: str) -> dict[str, Any]:
    wanted = json.loads(line)
    act: Callable[..., Any] = globals()[wanted.pop("act")]
    try:
        return {"ok": True, "answer": act(**wanted)}
    except Exception as error:  # the test that asked shall see it, whatever it is
        return {"ok": False, "code": getattr(error, "code", type(error).__name__), "detail": str(error)}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings.local")
    django.setup()
    from django.db import connections

    # What a library prints must not stand between the answers.
    out, sys.stdout = sys.stdout, sys.stderr
    print(json.dumps({"ok": True, "answer": "ready"}), file=out, flush=True)
    for line in sys.stdin:
        answer = _answer(line)
        connections.close_all()
        print(json.dumps(answer, default=str), file=out, flush=True)


if __name__ == "__main__":
    main()
