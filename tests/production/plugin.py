"""`pytest -p tests.production.plugin …`: the named tests on a PostgreSQL and a Redis of their own.

The servers start before Django reads its settings, which is why this is a plugin and not a fixture. Where their programs are not
installed every test is skipped, and says what to install. With `-n` every process has servers of its own.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from typing import Any

import pytest

from marketplace.supervisor.servers import NotInstalledError, PrivatePostgres, PrivateRedis
from marketplace.trust import TrustDomain
from tests.production import REPOSITORY

ROLES = ("web", "distributor", "aggregator", "issuer")
postgres = PrivatePostgres()
redis = PrivateRedis(users=ROLES)
missing = "These tests need their servers: make test-production, or pytest -p tests.production.plugin."
"""Why nothing can run; empty once the servers run."""


def _start() -> str:
    """Start both; the sentence that says what is missing, or nothing."""
    try:
        postgres.start()
        redis.start()
    except NotInstalledError as error:
        stop()
        return str(error)
    for domain in TrustDomain:
        postgres.domain(domain, REPOSITORY / "deploy" / "postgres" / "domain.sh")
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.production.settings"
    os.environ["CSSI_TEST_POSTGRES"] = postgres.url("postgres", "postgres")
    os.environ["CSSI_TEST_REDIS"] = redis.url()
    return ""


def stop() -> None:
    redis.stop()
    postgres.stop()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, Any]:
    """Around what pytest-django does here: reading the settings."""
    global missing
    spreads = getattr(early_config.known_args_namespace, "numprocesses", None)
    if "PYTEST_XDIST_WORKER" in os.environ or not spreads:
        missing = _start()
    return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    skip_without_servers(items)


def skip_without_servers(items: Iterable[pytest.Item]) -> None:
    if missing:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=missing))


def pytest_unconfigure() -> None:
    stop()
