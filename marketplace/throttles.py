"""How often one may ask the REST API."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle


class PeopleThrottle(SimpleRateThrottle):
    """By account where somebody is signed in, by address where nobody is."""

    scope = "people"

    def get_cache_key(self, request: Request, view: Any) -> str:
        signed_in = request.user is not None and request.user.is_authenticated
        ident = f"account-{request.user.pk}" if signed_in else self.get_ident(request)
        return self.cache_format % {"scope": self.scope, "ident": ident}
