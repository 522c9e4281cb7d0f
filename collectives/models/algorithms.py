"""Algorithms as data, and their admission to a collective through a notice period."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as lazy

from collectives import review
from collectives.models.collectives import Collective
from collectives.models.fields import hex32


class Algorithm(models.Model):
    class Status(models.TextChoices):
        SUBMITTED = "submitted", lazy("waiting for review")
        APPROVED = "approved", lazy("approved")
        RETURNED = "returned", lazy("returned")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="algorithms")
    name = models.CharField(max_length=120)
    manifest = models.JSONField()
    manifest_hash = hex32(unique=True, help_text="The algorithm's identity.")
    parameters = models.PositiveIntegerField(help_text="Scalars in the model.")
    checks = models.JSONField(default=list, help_text="What was checked automatically, with reasons.")
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.SUBMITTED)
    reason = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    reviewed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name} ({self.manifest_hash[:8]})"

    @property
    def audit(self) -> Any:
        """The newest privacy audit that came to an end, without a query where audits are prefetched; None: not yet audited."""
        ended = [row for row in self.audits.all() if row.status in row.CONCLUDED]
        return max(ended, key=lambda row: row.finished_at, default=None)

    @property
    def open_audit(self) -> Any:
        """The privacy audit that waits or runs, or None."""
        return next((row for row in self.audits.all() if row.status in row.OPEN), None)

    @property
    def review_questions(self) -> list[str]:
        """What no automatic check answers."""
        return review.questions(self.manifest, self.parameters)

    @cached_property
    def differs_from(self) -> Algorithm | None:
        """The author's last one before this that has the same name or reads and predicts the same."""
        earlier = Algorithm.objects.filter(author=self.author_id, created_at__lt=self.created_at)
        parts = ("inputs", "target")
        same = (
            row
            for row in earlier.order_by("-created_at")[:50]
            if row.name == self.name or all(row.manifest.get(p) == self.manifest.get(p) for p in parts)
        )
        return next(same, None)

    @property
    def review_difference(self) -> list[str]:
        return review.difference(self.differs_from.manifest, self.manifest) if self.differs_from else []


class Admission(models.Model):
    """An algorithm announced to a collective's subscribers; it may run from `effective_at` on."""

    class Status(models.TextChoices):
        ANNOUNCED = "announced", lazy("announced")
        ACTIVE = "active", lazy("active")
        WITHDRAWN = "withdrawn", lazy("withdrawn")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    collective = models.ForeignKey(Collective, on_delete=models.PROTECT, related_name="admissions")
    algorithm = models.ForeignKey(Algorithm, on_delete=models.PROTECT, related_name="admissions")
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.ANNOUNCED)
    subject = models.CharField(max_length=200)
    reason = models.CharField(max_length=1000)
    notice = models.JSONField(help_text="The signed notice as it was sent.")
    announced_at = models.DateTimeField()
    effective_at = models.DateTimeField()
    delivered = models.PositiveIntegerField(
        null=True, help_text="Wallets that got the notice; empty until the distributor was asked."
    )
    counted_at = models.DateTimeField(null=True, help_text="When the distributor was asked last.")

    class Meta:
        ordering = ["-announced_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["collective", "algorithm"],
                condition=~Q(status="withdrawn"),
                name="an_algorithm_is_announced_once",
                violation_error_message="This algorithm is already announced to this collective.",
            ),
            models.CheckConstraint(
                condition=Q(effective_at__gte=models.F("announced_at")),
                name="a_notice_takes_effect_after_it_is_announced",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.algorithm} for {self.collective}: {self.status}"
