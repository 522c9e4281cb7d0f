"""What every page may say about the site it is on."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject


def site(request: HttpRequest) -> dict[str, Any]:
    return {
        "DEVELOPMENT": settings.DEVELOPMENT,
        "DEVELOPMENT_MINIMA": settings.DEVELOPMENT_MINIMA,
        "TOKEN": settings.TOKEN_SYMBOL,
        "my_roles": SimpleLazyObject(lambda: _roles(request)),
    }


def _roles(request: HttpRequest) -> frozenset[str]:
    """The menu shows what these roles can open."""
    user = getattr(request, "user", None)  # an early refusal has none yet
    if user is None or not user.is_authenticated:
        return frozenset()
    return frozenset(grant.role for grant in user.roles.all())
