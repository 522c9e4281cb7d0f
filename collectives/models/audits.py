"""Privacy audits of algorithms: one row per run, with the whole report."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from collectives.models.algorithms import Algorithm


class Audit(models.Model):
    class Status(models.TextChoices):
        WAITING = "waiting", "waiting to be audited"
        RUNNING = "running", "being audited"
        ADMITTED = "admitted", "audited"
        REJECTED = "rejected", "rejected by the audit"
        FAILED = "failed", "the audit did not end"

    OPEN = (Status.WAITING, Status.RUNNING)
    CONCLUDED = (Status.ADMITTED, Status.REJECTED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    algorithm = models.ForeignKey(Algorithm, on_delete=models.CASCADE, related_name="audits")
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.WAITING)
    score = models.PositiveSmallIntegerField(null=True, blank=True, help_text="0 to 100.")
    report = models.JSONField(null=True, blank=True, help_text="Pinned to the manifest's hash.")
    doing = models.CharField(max_length=60, blank=True, help_text="The part that runs, while one does.")
    reason = models.CharField(max_length=500, blank=True)
    requested_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-requested_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["algorithm"],
                condition=Q(status__in=["waiting", "running"]),
                name="one_audit_of_an_algorithm_at_a_time",
            ),
            models.CheckConstraint(
                condition=~Q(status__in=["admitted", "rejected"])
                | Q(report__isnull=False, score__isnull=False, finished_at__isnull=False),
                name="a_concluded_audit_has_a_report_and_a_score",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.algorithm}: {self.get_status_display()}"
