"""What a process needs for the roles it holds: apps, middleware, background work, queues. The rest it does not even load.

The embedded default and the tests hold every role, so for them this is everything; a production process with
`CSSI_ROLES=aggregator` knows no account, no listing and no wallet's address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kombu import Exchange, Queue

WEB, DISTRIBUTOR, AGGREGATOR, ISSUER = "web", "distributor", "aggregator", "issuer"
ALL = (WEB, DISTRIBUTOR, AGGREGATOR, ISSUER)

APP = {DISTRIBUTOR: "wallets.distributor", AGGREGATOR: "aggregation.server", ISSUER: "attestation.desk"}
"""The one app of a role that has no pages for people; the web role has all the others."""
SERVICE_APPS = ("channels", "marketplace.apps.MarketplaceConfig")
SERVICE_MIDDLEWARE = (
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
)

TASKS = {
    WEB: ("collectives", "individuals", "accounts", "jobs", "settlement"),
    DISTRIBUTOR: ("distributor",),
    AGGREGATOR: ("aggregator",),
    ISSUER: ("issuer",),
}
"""First part of the names of the tasks that a role's worker runs."""

QUEUES = {
    WEB: ("rounds", "settlement", "notices", "audits"),
    DISTRIBUTOR: ("distributor",),
    AGGREGATOR: ("aggregator",),
    ISSUER: (),
}
ROUTES: tuple[tuple[str, str], ...] = (
    ("collectives.audit*", "audits"),
    ("collectives.count*", "notices"),
    ("collectives.*", "rounds"),
    ("jobs.*", "rounds"),
    ("settlement.*", "settlement"),
    ("individuals.*", "notices"),
    ("accounts.*", "notices"),
    ("distributor.*", "distributor"),
    ("aggregator.*", "aggregator"),
    ("issuer.*", "notices"),  # where web and issuer are one; alone, the desk sweeps by command
)
"""Task name -> queue, the first that fits: a long audit or a slow chain must not hold up a round."""

KEY_FILES = {
    WEB: ("market.key", "collectives.key", "collective-seal.key"),
    DISTRIBUTOR: ("distributor.key",),
    AGGREGATOR: ("aggregator.key", "aggregator-seal.key"),
    ISSUER: ("issuer-seal.key",),
}
"""The private keys a role reads; `public.json` goes to all."""


LARGE_VALUES = (DISTRIBUTOR, AGGREGATOR)
"""Domains whose rows hold whole vectors."""


def postgres_options(role: str) -> dict[str, Any]:
    """Options of a role's connections to PostgreSQL.

    Parameters go to the server apart from the statement where values are large: written into the statement, a vector would be
    spelled in hexadecimal and copied with it several times.
    """
    # A statement that waits forever for a lock would hold a thread of the site forever.
    limits = "-c lock_timeout=20s -c idle_in_transaction_session_timeout=120s"
    return {
        "application_name": f"cssi-{role}",
        "options": limits,
        "server_side_binding": role in LARGE_VALUES,
    }


def apps(roles: Iterable[str], everything: list[str]) -> list[str]:
    """Installed apps of a process that holds `roles`.

    Args:
        everything: the apps of a process that holds all roles.
    """
    held = set(roles)
    if WEB not in held:
        return [*SERVICE_APPS, *(APP[role] for role in APP if role in held)]
    absent = {APP[role] for role in APP if role not in held}
    return [app for app in everything if app not in absent]


def middleware(roles: Iterable[str], everything: list[str]) -> list[str]:
    """A process without pages for people needs no sessions, languages or messages."""
    return everything if WEB in roles else list(SERVICE_MIDDLEWARE)


def queues(roles: Iterable[str]) -> list[str]:
    """Names of the queues of the workers of `roles`."""
    return [queue for role in roles for queue in QUEUES[role]]


def celery_queues(roles: Iterable[str]) -> tuple[Queue, ...]:
    """The queues themselves. Each has an exchange and a key of its own: on a shared one every task would go to all of them."""
    return tuple(Queue(name, Exchange(name), routing_key=name) for name in queues(roles))


def schedule(roles: Iterable[str], everything: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The part of the timetable that the workers of `roles` can serve."""
    own = {name for role in roles for name in TASKS[role]}
    return {name: entry for name, entry in everything.items() if entry["task"].split(".")[0] in own}
