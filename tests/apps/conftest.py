"""What every test over the database starts with."""

from __future__ import annotations

import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def _nothing_cached() -> None:
    """Limits of requests are counted in the cache; no test pays for what another one asked."""
    cache.clear()
