"""Sends every model to the database of its trust domain, and refuses relations across domains."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.db import connections

from marketplace.trust import DATABASE_ALIAS, TrustDomain, domain_of


def alias_for(app_label: str) -> str:
    domain = domain_of(apps.get_app_config(app_label)) or TrustDomain.MARKET
    return DATABASE_ALIAS[domain]


def own_aliases() -> list[str]:
    """Databases of the domains this process holds; a process without the web role has no `default`."""
    return [alias for alias in connections if connections[alias].vendor != "unknown"]


class TrustDomainRouter:
    def db_for_read(self, model: Any, **hints: Any) -> str:
        return alias_for(model._meta.app_label)

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return alias_for(model._meta.app_label)

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool:
        return alias_for(one._meta.app_label) == alias_for(other._meta.app_label)

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == alias_for(app_label)
