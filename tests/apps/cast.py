"""A small fixed cast and what they made: Alice owns, Ivo is an individual, Carla consumes, Aron writes algorithms, Ada is
the administrator. Charlie holds every role and owns nothing: he must see nothing of the others."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.test import Client
from django.utils import timezone

from collectives.models import Admission, Algorithm, Collective, OutgoingCall
from collectives.services import algorithms
from collectives.services import collectives as services
from collectives.terms.algorithm import stack
from marketplace.accounts.models import Account, Role
from marketplace.individuals.models import SubscriptionLink, WalletLink
from marketplace.jobs import services as jobs
from marketplace.jobs.models import Order
from tests.apps.kept import kept

PASSWORD = "correct horse battery"
ROLES = {
    "alice": (Role.OWNER,),
    "ivo": (Role.INDIVIDUAL,),
    "carla": (Role.CONSUMER,),
    "aron": (Role.AUTHOR,),
    "ada": (),
    "charlie": tuple(Role),
}
REQUIREMENT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "age": {
            "type": "integer",
            "minimum": 18,
            "maximum": 110,
            "title": "Age in years",
            "x-feature": {"encode": "number"},
        },
        "hours": {
            "type": "number",
            "minimum": 0,
            "maximum": 24,
            "title": "Hours of sleep",
            "x-feature": {"encode": "number"},
        },
        "rested": {"type": "boolean", "title": "Rested in the morning", "x-feature": {"encode": "boolean"}},
    },
    "required": ["age", "hours", "rested"],
    "additionalProperties": False,
}
MANIFEST: dict[str, Any] = {
    "version": 1,
    "name": "Rested from age and hours",
    "purpose": "Predict whether people wake up rested.",
    "inputs": ["age", "hours"],
    "target": ["rested"],
    "width_in": 2,
    "width_out": 1,
    "layers": stack([4, 1]),
    "loss": "bce-with-logits",
    "training": {"learning_rate_micro": 100_000, "steps": 1},
    "output": {"kind": "gradient", "clip_micro": 1_000_000},
}
RATE = 5 * 10**15


def uuid_of_nobody() -> uuid.UUID:
    """An id that nothing has."""
    return uuid.UUID(int=1)


def account(name: str) -> Account:
    made = Account.objects.create_user(
        f"{name}@people.example", PASSWORD, is_staff=name == "ada", is_superuser=name == "ada"
    )
    made.grant(*ROLES[name])
    return made


@dataclass
class World:
    """Everybody, and one of each thing."""

    people: dict[str, Account]
    collective: Collective
    algorithm: Algorithm
    admission: Admission
    wallet: WalletLink
    link: SubscriptionLink
    order: Order

    def client(self, name: str) -> Client:
        client = Client()
        if name:
            client.force_login(self.people[name], backend="django.contrib.auth.backends.ModelBackend")
        return client


def register(owner: Account, name: str = "Sleep well", **changes: Any) -> Collective:
    values = {
        "name": name,
        "purpose": "Learn what makes people sleep well.",
        "not_for": "Insurance prices.",
        "task_description": "A small model of sleep.",
        "requirement": REQUIREMENT,
        "rate": RATE,
    }
    return services.register(actor=owner, **values | changes)


def registration() -> dict[str, Any]:
    """What the registration form is sent, but for the description of the data."""
    return {
        "name": "New question",
        "purpose": "Learn something.",
        "task_description": "In more words.",
        "source": "table",
        "rate": str(RATE),
        "notice_seconds": str(settings.NOTICE_MIN_SECONDS),
        "silence": "without",
        "bucket_min": "38",
        "release_min": "100",
        "assurance": "declared",
        "order_policy": "open",
    }


def link(owner: Account, wallet: WalletLink, collective: Collective, **changes: Any) -> SubscriptionLink:
    terms = collective.terms.first()
    now = timezone.now()
    values = {
        "account": owner,
        "wallet": wallet,
        "collective_id": collective.pk,
        "terms_hash": terms.hash,
        "terms_version": terms.version,
        "offer_ref": f"ref-{SubscriptionLink.objects.count()}",
        "created_at": now,
        "expires_at": now + timedelta(days=7),
        "status": "subscribed",
        "subscription_key": "ab" * 32,
        "subscribed_at": now,
    }
    return SubscriptionLink.objects.create(**values | changes)


def world() -> World:
    return kept("world", _world)


def _world() -> World:
    people = {name: account(name) for name in ROLES}
    collective = register(people["alice"])
    algorithm = algorithms.submit(actor=people["aron"], manifest=MANIFEST)
    algorithms.approve(actor=people["ada"], algorithm=algorithm)
    algorithm.refresh_from_db()
    admission = algorithms.announce(
        actor=people["alice"], collective=collective, algorithm=algorithm, reason="A first try."
    )
    wallet = WalletLink.objects.create(account=people["ivo"], mailbox_key="cd" * 32, paired_at=timezone.now())
    order = jobs.order(
        consumer=people["carla"],
        collective_id=collective.pk,
        manifest_hash=algorithm.manifest_hash,
        budget=1000 * 10**18,
        max_rounds=10,
    )
    return World(
        people=people,
        collective=collective,
        algorithm=algorithm,
        admission=admission,
        wallet=wallet,
        link=link(people["ivo"], wallet, collective),
        order=order,
    )


def notices_arrive() -> None:
    """The distributor has taken the notices that were sent: an algorithm becomes active only then."""
    OutgoingCall.objects.filter(key__startswith="notice:", status="waiting").update(status="done")
