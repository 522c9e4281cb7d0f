"""Wallets that are found in buckets that stand out, again and again: the evidence, and what was decided about them.

Kept per subscription key, never per person; nothing is kept about a wallet to which it never happened.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from aggregation.server.models.jobs import HEX_KEY


class Suspicion(models.Model):
    """Evidence against one wallet (`aggregation.tampering.offenders.Account`). Forgotten a year after its last visit."""

    collective_id = models.UUIDField()
    subscription_key = models.CharField(max_length=HEX_KEY)
    visits = models.PositiveIntegerField(default=0)
    """Judged rounds since the first in which its bucket stood out, that one not counted."""
    hits = models.PositiveIntegerField(default=0)
    stakes = models.JSONField()
    at = models.BigIntegerField()
    """The day of its last visit."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["collective_id", "subscription_key"], name="one_account_each"),
        ]
        indexes = [models.Index(fields=["at"], name="suspicion_by_day")]


class Exclusion(models.Model):
    """A wallet that is not asked any more, why, what its holder says to that, and what an administrator decided."""

    class State(models.TextChoices):
        EXCLUDED = "excluded", "excluded"
        UPHELD = "upheld", "excluded; the appeal was not granted"
        REINSTATED = "reinstated", "asked again"

    # immutable
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    collective_id = models.UUIDField()
    subscription_key = models.CharField(max_length=HEX_KEY)
    visits = models.PositiveIntegerField()
    hits = models.PositiveIntegerField()
    one_in = models.PositiveBigIntegerField()
    """At most one in so many honest wallets ever has so much evidence against it."""
    at = models.BigIntegerField()
    # mutable
    state = models.CharField(max_length=12, choices=State.choices, default=State.EXCLUDED)
    appeal = models.CharField(max_length=1000, blank=True)
    appealed_at = models.BigIntegerField(null=True)
    decision = models.CharField(max_length=500, blank=True)
    decided_at = models.BigIntegerField(null=True)
    decided_by = models.CharField(max_length=150, blank=True)
    letter = models.TextField()
    """What the wallet is told, signed."""
    revision = models.PositiveIntegerField(default=1)
    """Counts letters."""
    handed = models.PositiveIntegerField(default=0)
    """The last one the distributor took."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["collective_id", "subscription_key"],
                condition=~Q(state="reinstated"),
                name="excluded_once_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"exclusion {str(self.pk)[:8]} ({self.state})"
