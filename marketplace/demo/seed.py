"""Demo log-ins for each role, and a collective to look at. Development only; running it again changes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import structlog
from allauth.account.models import EmailAddress
from django.conf import settings
from django.utils.crypto import salted_hmac

from collectives import selectors as collectives
from collectives.services import algorithms
from collectives.services import collectives as register
from collectives.terms.algorithm import manifest_hash
from marketplace.accounts.models import Account, Role
from marketplace.demo import job_performance
from marketplace.settlement import selectors as money
from marketplace.settlement import services as settlement
from marketplace.settlement.errors import ChainUnavailable, SettlementError

log = structlog.get_logger(__name__)
CAST: dict[str, tuple[Role, ...]] = {
    "individual": (Role.INDIVIDUAL,),
    "owner": (Role.OWNER, Role.INDIVIDUAL),
    "consumer": (Role.CONSUMER,),
    "author": (Role.AUTHOR,),
    "admin": (Role.INDIVIDUAL, Role.CONSUMER, Role.OWNER, Role.AUTHOR),
}
NAME = "Skills at work (demo)"
FUNDS = 10_000 * 10**18
LOWERED: dict[str, Any] = {"bucket_min": 10, "release_min": 20, "development": True}
"""Far below what is safe for people."""


@dataclass(frozen=True, kw_only=True)
class DemoLogin:
    """What somebody types to sign in as one of the cast."""

    role: str
    email: str
    password: str


class NotForProduction(RuntimeError):
    """Demo log-ins have passwords that are printed; a site for people must not have them."""


def seed_demo_accounts() -> list[DemoLogin]:
    """One account per role, each `<role>@demo.example` with one printed password.

    Raises:
        NotForProduction: the site is not a development site.
    """
    if not settings.DEVELOPMENT:
        raise NotForProduction("Demo log-ins are made on development sites only.")
    return [_login(role, roles) for role, roles in CAST.items()]


def _login(role: str, roles: tuple[Role, ...]) -> DemoLogin:
    email = f"{role}@demo.example"
    # The same on every run and another one on every installation, so that nobody else's demo password fits.
    password = "demo-" + salted_hmac("marketplace.demo", email).hexdigest()[:10]
    account = Account.objects.filter(email=email).first()
    if account is None:
        make = Account.objects.create_superuser if role == "admin" else Account.objects.create_user
        account = make(email, password)
    account.grant(*roles)
    EmailAddress.objects.update_or_create(
        user=account, email=email, defaults={"verified": True, "primary": True}
    )
    return DemoLogin(role=role, email=email, password=password)


def seed_demo_collective() -> Any:
    """The demo owner's collective with the author's algorithm, reviewed and agreed with on subscribing.

    Where the site allows it the minima are lowered, so that the few residents of one machine are enough for a job; every page of
    the collective says so.
    """
    owner, author, admin = (
        Account.objects.get(email=f"{name}@demo.example") for name in ("owner", "author", "admin")
    )
    for card in collectives.owned_by(owner):
        if card.terms.document["name"] == NAME:
            return card.collective
    requirement = job_performance.requirement()
    manifest = job_performance.manifest(requirement)
    algorithm = collectives.algorithm(manifest_hash(manifest)) or algorithms.submit(
        actor=author, manifest=manifest
    )
    if algorithm.status != "approved":
        algorithms.approve(actor=admin, algorithm=algorithm)
    return register.register(
        actor=owner,
        name=NAME,
        purpose="Learn which skills, preferences and characteristics go with a job title and its grades.",
        not_for="Decisions about single persons.",
        task_description=(
            "People who keep their job title, skills, preferences, characteristics and grades in a wallet teach a small "
            "net that predicts the others from a title and grades. The model helps to describe open positions. The people who "
            "live on this machine are generated."
        ),
        requirement=requirement,
        rate=5 * 10**15,
        order_policy="open",
        manifests=[algorithm.manifest_hash],
        **(LOWERED if settings.DEVELOPMENT_MINIMA else {}),
    )


def seed_demo_funds() -> bool:
    """Development tokens for the demo consumer; False where no chain is there to mint them."""
    consumer = Account.objects.get(email="consumer@demo.example")
    if money.funds(consumer)["wallet"] is not None:
        return True
    try:
        settlement.faucet(consumer, FUNDS)
    except (SettlementError, ChainUnavailable) as error:
        log.info("demo_funds_skipped", reason=str(error))
        return False
    return True
