"""The people of a demo: owner, author, administrator, consumer, and one individual with a wallet per record."""

from __future__ import annotations

import itertools
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.db import connections

from collectives.models import Admission, Algorithm, Collective
from collectives.services import algorithms
from collectives.services import collectives as register
from marketplace.accounts.models import Account, Role, RoleGrant
from marketplace.demo.datasets import Dataset
from marketplace.demo.hosts import Hosts
from marketplace.demo.plan import Plan
from marketplace.demo.seed import seed_demo_accounts
from marketplace.demo.stage import wait_until
from marketplace.individuals.models import SubscriptionLink
from marketplace.individuals.server_description import pairing_link
from marketplace.individuals.services import links, pairing

RATE = 5 * 10**15
AT_ONCE = 12
Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Cast:
    owner: Account
    author: Account
    admin: Account
    consumer: Account
    consumer_password: str
    individuals: list[Account]


def create(wallets: int) -> Cast:
    """All accounts; individual n is `wallet-<n>@demo.example`."""
    logins = {login.role: login for login in seed_demo_accounts()}
    named = {role: Account.objects.get(email=login.email) for role, login in logins.items()}
    unusable = make_password(None)
    people = [Account(email=email_of(n), password=unusable) for n in range(wallets)]
    made = Account.objects.bulk_create(people)
    grant, _ = RoleGrant.objects.get_or_create(role=Role.INDIVIDUAL)
    Account.roles.through.objects.bulk_create(
        [Account.roles.through(account_id=a.pk, rolegrant_id=grant.pk) for a in made]
    )
    return Cast(
        owner=named["owner"],
        author=named["author"],
        admin=named["admin"],
        consumer=named["consumer"],
        consumer_password=logins["consumer"].password,
        individuals=made,
    )


def email_of(number: int) -> str:
    return f"wallet-{number:06d}@demo.example"


def found_collective(cast: Cast, data: Dataset, plan: Plan) -> tuple[Collective, Algorithm]:
    """A collective with its four elements, and an algorithm that was submitted and reviewed."""
    algorithm = algorithms.submit(actor=cast.author, manifest=data.manifest)
    algorithms.approve(actor=cast.admin, algorithm=algorithm)
    collective = register.register(
        actor=cast.owner,
        name=f"{data.title} collective",
        purpose=data.purpose,
        not_for="Decisions about you.",
        task_description=(
            f"{data.purpose} The model is a {data.manifest['name'].lower()}. Rounds of at least {plan.release_min} wallets "
            "train it; only the sum of a whole cohort is ever read."
        ),
        requirement=data.requirement,
        rate=RATE,
        bucket_min=plan.bucket_min,
        release_min=plan.release_min,
        silence="with",
        order_policy="open",
        development=plan.development,
    )
    return collective, algorithm


def pair(individuals: Sequence[Account], hosts: Hosts, collective: Collective, progress: Progress) -> None:
    """Every individual pairs its wallet by a one-time code, then confirms on the web that it wants to subscribe."""

    def one(number: int) -> None:
        account = individuals[number]
        code = pairing.code_of(pairing.start_pairing(account=account))
        hosts.call(number, "pair", link=pairing_link(code))
        links.send_offer(account=account, collective_id=collective.pk)

    _each(len(individuals), one, progress)


def wait_for_subscriptions(cast: Cast, progress: Progress) -> None:
    """Each wallet verifies the signed terms it was offered, signs, and keeps the permit."""
    wanted = len(cast.individuals)

    def arrived() -> bool:
        count = SubscriptionLink.objects.filter(status=SubscriptionLink.Status.SUBSCRIBED).count()
        progress(count)
        return count >= wanted

    wait_until(arrived, seconds=120 + wanted, what=f"{wanted} wallets to subscribe")


def announce(cast: Cast, collective: Collective, algorithm: Algorithm) -> Admission:
    return algorithms.announce(
        actor=cast.owner,
        collective=collective,
        algorithm=algorithm,
        reason="The model this collective is for.",
    )


def wait_for_notice(admission: Admission) -> None:
    def active() -> bool:
        admission.refresh_from_db()
        return admission.status == Admission.Status.ACTIVE

    wait_until(active, seconds=settings.NOTICE_MIN_SECONDS + 60, what="the notice period")


def link_of(account: Account, collective_id: uuid.UUID) -> SubscriptionLink:
    return SubscriptionLink.objects.get(account=account, collective_id=collective_id)


def _each(count: int, work: Callable[[int], Any], progress: Progress) -> None:
    """`work` for every number, some at once; each thread keeps its database connections for all that it does."""
    numbers: Iterator[int] = iter(range(count))
    done, lock = itertools.count(1), threading.Lock()

    def worker() -> None:
        nonlocal numbers
        try:
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                work(number)
                with lock:
                    progress(next(done))
        except BaseException:
            numbers = iter(())  # one that failed stops the others, too
            raise
        finally:
            connections.close_all()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for working in [pool.submit(worker) for _ in range(AT_ONCE)]:
            working.result()
