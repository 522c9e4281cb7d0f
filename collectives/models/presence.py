"""Statements of presence after the first one, which lies in the subscription itself."""

from __future__ import annotations

from django.db import models

from collectives.models.fields import hex32
from collectives.models.subscriptions import Subscription


class PresenceStatement(models.Model):
    """The wallet's data changed and it proved presence again; the newest counts. Holds facts and a commitment, no value."""

    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="statements")
    commitment = hex32()
    envelope_hash = hex32(unique=True)
    document = models.JSONField()
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-made_at", "-pk"]

    def __str__(self) -> str:
        return f"statement {self.pk} of {self.subscription}"
