"""What every test over the database starts with."""

from __future__ import annotations

import pytest
from django.core.cache import cache
from django.db.models.signals import post_migrate


@pytest.fixture(scope="session", autouse=True)
def _permissions_are_made_once(django_db_setup: None) -> None:
    """Django makes every model's permissions anew whenever a test empties the database; nothing here asks for one."""
    post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")


@pytest.fixture(autouse=True)
def _nothing_cached() -> None:
    """Limits of requests are counted in the cache; no test pays for what another one asked."""
    cache.clear()
