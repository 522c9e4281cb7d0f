"""Subscriptions by pseudonym. Nothing here says who a person is or how to reach a wallet."""

from __future__ import annotations

from django.db import models

from collectives.models.collectives import Collective, TermsVersion
from collectives.models.fields import hex32


class Subscription(models.Model):
    class Status(models.TextChoices):
        ACTIVE = "active", "active"
        REVOKED = "revoked", "revoked"

    collective = models.ForeignKey(Collective, on_delete=models.PROTECT, related_name="subscriptions")
    terms = models.ForeignKey(TermsVersion, on_delete=models.PROTECT, related_name="subscriptions")
    subscription_key = hex32(
        unique=True, help_text="The wallet's fresh key for this subscription: its pseudonym."
    )
    document = models.JSONField(
        help_text="The signed subscription as the wallet sent it, agreement included."
    )
    envelope_hash = hex32()
    agreement_hash = hex32(unique=True)
    permit = models.JSONField(help_text="The signed permit as it was given.")
    expires_at = models.DateTimeField()
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.ACTIVE)
    subscribed_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_by = models.CharField(max_length=12, blank=True, help_text="wallet or web")

    class Meta:
        ordering = ["-subscribed_at"]
        indexes = [models.Index(fields=["collective", "status"])]

    def __str__(self) -> str:
        return f"subscription {self.pk} of {self.collective}"


class NoticeAnswer(models.Model):
    """What one subscription answered to one notice; the last answer counts."""

    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="answers")
    admission = models.ForeignKey("collectives.Admission", on_delete=models.CASCADE, related_name="answers")
    choice = models.CharField(max_length=8)
    document = models.JSONField()
    answered_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["subscription", "admission"], name="one_answer_per_notice")
        ]

    def __str__(self) -> str:
        return f"{self.choice} to {self.admission_id}"
