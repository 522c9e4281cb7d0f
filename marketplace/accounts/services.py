"""Every write about an account that is not a log-in (those are allauth's)."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from marketplace.accounts.models import Account, Role, RoleGrant


@transaction.atomic
def set_roles(*, actor: Account, roles: Iterable[Role]) -> None:
    """The actor's roles become exactly these."""
    wanted = set(roles)
    actor.roles.set([RoleGrant.objects.get_or_create(role=role)[0] for role in wanted])


def set_language(*, actor: Account, language: str) -> None:
    """Letters to the actor are written in this language."""
    Account.objects.filter(pk=actor.pk).update(language=language)
