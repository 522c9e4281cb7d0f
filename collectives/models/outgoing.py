"""Calls to the distributor that must arrive, even if it is down now. A row is claimed, sent, and marked done."""

from __future__ import annotations

from django.db import models


class OutgoingCall(models.Model):
    class Status(models.TextChoices):
        WAITING = "waiting", "waiting"
        DONE = "done", "done"
        REFUSED = "refused", "refused for good"

    key = models.CharField(max_length=200, unique=True, help_text="What it is for; sent once per key.")
    method = models.CharField(max_length=6)
    path = models.CharField(max_length=300)
    body = models.JSONField(default=dict)
    after = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="followers",
        help_text="Sent first.",
    )
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.WAITING)
    attempts = models.PositiveIntegerField(default=0)
    not_before = models.DateTimeField(auto_now_add=True)
    last_error = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["status", "not_before"])]

    def __str__(self) -> str:
        return f"{self.method} {self.path}: {self.status}"
