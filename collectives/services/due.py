"""Whose time has come, where the clock may be set back."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q


def due(field: str, now: datetime, *, longest: timedelta) -> Q:
    """Rows whose moment in `field` has come; and those that name one further ahead than anything waits, twice `longest`: it was written
    before the clock was set back, and would not come for as long as that."""
    return Q(**{f"{field}__lte": now}) | Q(**{f"{field}__gt": now + 2 * longest})
