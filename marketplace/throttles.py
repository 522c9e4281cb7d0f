"""How often one may ask the REST API."""

from __future__ import annotations

import time
from typing import Any

from rest_framework.request import Request
from rest_framework.throttling import ScopedRateThrottle

from marketplace.cache import count


class ApiThrottle(ScopedRateThrottle):
    """By account where somebody is signed in, by address where nobody is; a view may name a `throttle_scope` other than "people".

    A counter per window instead of the framework's list of every request's time: that list is read and written whole at each
    request, and all wallets of a host ask from one address. A window's edge may let twice the rate through once; what is
    guarded here is load, not a secret.
    """

    def allow_request(self, request: Request, view: Any) -> bool:
        self.scope = getattr(view, self.scope_attr, "people")
        most, seconds = self.parse_rate(self.get_rate())
        if most is None or seconds is None:
            return True
        now = time.time()
        self._wait = seconds - now % seconds
        key = f"{self.get_cache_key(request, view)}:{int(now // seconds)}"
        return count(self.cache, key, seconds + 1) <= most

    def wait(self) -> float:
        """Seconds until the next window."""
        return self._wait
