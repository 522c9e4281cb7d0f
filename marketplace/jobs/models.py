"""A consumer's order, and the metrics they report for their checkpoints."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from collectives.models.fields import amount
from marketplace.jobs.stop_rule import StopRule


class Order(models.Model):
    """Who ordered a job and what it may cost. The job's status stands with the job, money's with its escrow."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    consumer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="orders")
    collective_id = models.UUIDField()
    job_id = models.UUIDField(unique=True)
    budget = amount(help_text="Base units.")
    rate = amount(help_text="Base units per visit.")
    idempotency_key = models.CharField(
        max_length=80, blank=True, help_text="Chosen by the consumer's program; the same key orders once."
    )
    request_digest = models.CharField(max_length=64, blank=True, help_text="What was ordered under that key.")
    stop_metric = models.CharField(
        max_length=40,
        blank=True,
        help_text="The job stops when the consumer reports this metric at its value.",
    )
    stop_value = models.FloatField(null=True, blank=True)
    stop_at_least = models.BooleanField(default=True, help_text="Else at most.")
    judge_hash = models.CharField(
        max_length=64,
        blank=True,
        help_text="Manifest of the evaluation by which the job stops where it gets no better.",
    )
    judge_every = models.PositiveIntegerField(default=0)
    judge_window = models.PositiveIntegerField(default=0)
    judges = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        related_name="evaluations",
        null=True,
        blank=True,
        help_text="The order whose model this one judges.",
    )
    judged_number = models.PositiveIntegerField(default=0)
    closed = models.BooleanField(default=False, help_text="Settled, the rest refunded.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(budget__gte=models.F("rate")), name="an_order_pays_at_least_one_visit"
            ),
            models.UniqueConstraint(
                fields=["consumer", "idempotency_key"],
                condition=~models.Q(idempotency_key=""),
                name="an_idempotency_key_orders_once",
            ),
            models.CheckConstraint(
                condition=models.Q(stop_metric="") | models.Q(stop_value__isnull=False),
                name="a_stop_rule_has_a_value",
            ),
        ]

    def __str__(self) -> str:
        return f"order of job {str(self.job_id)[:8]}"

    @property
    def stop_rule(self) -> StopRule | None:
        if not self.stop_metric or self.stop_value is None:
            return None
        return StopRule(metric=self.stop_metric, value=self.stop_value, at_least=self.stop_at_least)


class Metric(models.Model):
    """What the consumer measured for one checkpoint on data of their own."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="metrics")
    checkpoint = models.PositiveIntegerField()
    name = models.CharField(max_length=40)
    value = models.FloatField()
    reported_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["order", "name", "checkpoint"]
        constraints = [
            models.UniqueConstraint(fields=["order", "checkpoint", "name"], name="one_value_per_metric")
        ]

    def __str__(self) -> str:
        return f"{self.name} of checkpoint {self.checkpoint}"
