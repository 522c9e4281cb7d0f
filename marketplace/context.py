"""What every page may say about the site it is on."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def site(request: HttpRequest) -> dict[str, Any]:
    return {
        "DEVELOPMENT": settings.DEVELOPMENT,
        "DEVELOPMENT_MINIMA": settings.DEVELOPMENT_MINIMA,
        "TOKEN": settings.TOKEN_SYMBOL,
    }
