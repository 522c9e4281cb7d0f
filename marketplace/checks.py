"""System checks that keep the trust domains apart (docs/architecture.md, "Doors in the database")."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.db.models import Field

from marketplace.settings.roles import KEY_FILES
from marketplace.trust import DATABASE_ALIAS, domain_of


@register(Tags.models)
def every_model_has_a_domain(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"The app {config.label} has models but names no trust domain.",
            hint="Set trust_domain on its AppConfig to one of marketplace.trust.TrustDomain.",
            id="trust.E001",
        )
        for config in apps.get_app_configs()
        if domain_of(config) is None and list(config.get_models())
    ]


def _relations() -> Iterable[Field[Any, Any]]:
    for model in apps.get_models(include_auto_created=True):
        yield from (f for f in model._meta.get_fields() if isinstance(f, Field) and f.is_relation)


@register(Tags.models)
def no_relation_crosses_a_domain(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for field in _relations():
        target = field.related_model
        if target is None or isinstance(target, str):
            continue
        here = domain_of(apps.get_app_config(field.model._meta.app_label))
        there = domain_of(apps.get_app_config(target._meta.app_label))
        if here != there:
            found.append(
                Error(
                    f"{field.model._meta.label}.{field.name} points from {here} into {there}.",
                    hint="Keep an opaque id instead of a relation.",
                    obj=field,
                    id="trust.E002",
                )
            )
    return found


@register(Tags.database)
def domains_have_their_own_databases(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if not getattr(settings, "REQUIRE_SEPARATE_DATABASES", True):
        return []
    seen: dict[tuple[str, str, str], str] = {}
    found: list[CheckMessage] = []
    for alias in DATABASE_ALIAS.values():
        config = settings.DATABASES.get(alias)
        if config is None:
            continue  # a role process that does not hold this domain
        where = (str(config.get("HOST", "")), str(config.get("PORT", "")), str(config["NAME"]))
        if where in seen:
            found.append(
                Error(
                    f"The databases {seen[where]!r} and {alias!r} are the same one.",
                    hint="Give each trust domain a database of its own.",
                    id="trust.E003",
                )
            )
        seen[where] = alias
    return found


@register(Tags.security, deploy=True)
def no_key_of_another_role_lies_here(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    own = {name for role in settings.ROLES for name in KEY_FILES[role]}
    others = {name for names in KEY_FILES.values() for name in names} - own
    return [
        Error(
            f"This process holds {', '.join(settings.ROLES)} and can read {path.name}, a key of another role.",
            hint="Give each role a folder with its own keys: manage.py make_keys --apart.",
            id="trust.E004",
        )
        for path in sorted(Path(settings.KEYS_DIR).iterdir())
        if path.name in others
    ]
