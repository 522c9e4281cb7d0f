"""Who may take part in a job: the frozen enrolment log as the distributor handed it over."""

from __future__ import annotations

import uuid

from django.db import models

from aggregation.server.models.fields import BaseUnitsField

HEX_KEY = 64
ALIAS = "aggregator"


class Job(models.Model):
    """A job whose log is frozen. Immutable."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    collective_id = models.UUIDField()
    rate = BaseUnitsField()
    manifest_hash = models.CharField(max_length=HEX_KEY)
    log_root = models.CharField(max_length=HEX_KEY)
    log_size = models.PositiveIntegerField()
    created = models.BigIntegerField()

    def __str__(self) -> str:
        return f"job {self.id}"


class Member(models.Model):
    """One leaf of the log: which job key stands for which subscription."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="members")
    index = models.PositiveIntegerField()
    job_key = models.CharField(max_length=HEX_KEY)
    subscription_key = models.CharField(max_length=HEX_KEY)
    body = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "index"], name="member_index_once"),
            models.UniqueConstraint(fields=["job", "job_key"], name="member_job_key_once"),
            models.UniqueConstraint(fields=["job", "subscription_key"], name="member_subscription_once"),
        ]
