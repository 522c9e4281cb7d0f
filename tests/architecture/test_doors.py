"""The doors of docs/architecture.md: system checks that keep the databases apart, and the router behind them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.apps import AppConfig, apps
from django.db import models

from marketplace import checks
from marketplace.db_router import TrustDomainRouter
from marketplace.trust import DATABASE_ALIAS, TrustDomain, domain_of


def test_every_app_of_ours_with_models_names_its_domain() -> None:
    assert checks.every_model_has_a_domain(None) == []


def test_no_relation_crosses_a_domain() -> None:
    assert checks.no_relation_crosses_a_domain(None) == []


def test_an_app_of_ours_without_a_domain_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    forgetful = SimpleNamespace(name="wallets.new", label="new", get_models=lambda: iter([object()]))
    monkeypatch.setattr(apps, "get_app_configs", lambda: [forgetful])

    (error,) = checks.every_model_has_a_domain(None)

    assert error.id == "trust.E001"
    assert "new" in error.msg


def test_a_relation_into_another_domain_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    field: Any = models.ForeignKey("distributor.Job", on_delete=models.CASCADE)
    target = next(iter(apps.get_app_config("distributor").get_models()))
    source = next(iter(apps.get_app_config("collectives").get_models()))
    field.model, field.name = source, "leak"
    monkeypatch.setattr(type(field), "related_model", target)
    monkeypatch.setattr(checks, "_relations", lambda: [field])

    (error,) = checks.no_relation_crosses_a_domain(None)

    assert error.id == "trust.E002"


def test_two_domains_in_one_database_are_reported(settings: Any) -> None:
    same = {"NAME": "one", "HOST": "db"}
    settings.DATABASES = dict.fromkeys(DATABASE_ALIAS.values(), same)

    assert {error.id for error in checks.domains_have_their_own_databases(None)} == {"trust.E003"}


def test_the_router_keeps_each_domain_in_its_own_database() -> None:
    router = TrustDomainRouter()
    for config in apps.get_app_configs():
        for model in config.get_models():
            domain = domain_of(config)
            assert domain is not None
            alias = router.db_for_write(model)
            assert alias == DATABASE_ALIAS[domain]
            assert [db for db in DATABASE_ALIAS.values() if router.allow_migrate(db, config.label)] == [alias]


def test_libraries_belong_to_the_market() -> None:
    assert domain_of(apps.get_app_config("sessions")) is TrustDomain.MARKET
    assert (
        domain_of(AppConfig("collectives_of_somebody_else", SimpleNamespace(__path__=["."])))
        is TrustDomain.MARKET
    )
