"""Jobs, rounds and checkpoints, and the one table that says how a job's status may change."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as lazy

from collectives.models.algorithms import Algorithm
from collectives.models.collectives import Collective
from collectives.models.fields import amount, hex32


class Job(models.Model):
    class Status(models.TextChoices):
        DRAFT = "draft", lazy("draft")
        APPROVAL = "approval", lazy("waiting for the owner's approval")
        RETURNED = "returned", lazy("returned, never begun")
        VALIDATED = "validated", lazy("waiting for funds")
        FUNDED = "funded", lazy("funded")
        WAITING = "waiting_for_subscribers", lazy("waiting for subscribers")
        NOTICE = "notice", lazy("waiting for the notice period")
        SCHEDULED = "scheduled", lazy("enrolling wallets")
        RUNNING = "running", lazy("running")
        PAUSED = "paused", lazy("paused")
        COMPLETED = "completed", lazy("completed")
        BUDGET_EXHAUSTED = "budget_exhausted", lazy("budget used up")
        PRIVACY_EXHAUSTED = "privacy_exhausted", lazy("privacy budget used up")
        STOPPED = "stopped", lazy("stopped")
        FAILED = "failed", lazy("failed")
        SUSPENDED = "suspended", lazy("suspended")
        SETTLED = "settled", lazy("settled")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # treat as immutable
    collective = models.ForeignKey(Collective, on_delete=models.PROTECT, related_name="jobs")
    algorithm = models.ForeignKey(Algorithm, on_delete=models.PROTECT, related_name="jobs")
    rate = amount(help_text="Base units per visit.")
    visits_budget = models.PositiveBigIntegerField(help_text="budget // rate: never more visits than this.")
    max_rounds = models.PositiveIntegerField()
    plan = models.JSONField()
    request = models.CharField(
        max_length=1000, blank=True, help_text="Who orders and what for, where the owner approves orders."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    # mutable
    status = models.CharField(max_length=24, choices=Status.choices, default=Status.DRAFT)
    reason = models.CharField(max_length=500, blank=True)
    visits_reserved = models.PositiveBigIntegerField(default=0, help_text="Promised to the running round.")
    visits_earned = models.PositiveBigIntegerField(default=0, help_text="Receipts of closed rounds.")
    stop_requested = models.BooleanField(default=False)
    stop_reason = models.CharField(
        max_length=300, blank=True, help_text="Why, once the running round is over."
    )
    pause_requested = models.BooleanField(default=False)
    failures = models.PositiveSmallIntegerField(default=0, help_text="Abandoned rounds in a row.")
    log_root = hex32(blank=True)
    enrolled = models.PositiveIntegerField(default=0)
    lease_until = models.DateTimeField(null=True, blank=True)
    driven_at = models.DateTimeField(null=True, blank=True, help_text="When somebody last worked on it.")
    fence = models.PositiveBigIntegerField(
        default=0, help_text="Raised with every lease; a step with an old one commits nothing."
    )

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(visits_earned__lte=F("visits_budget") - F("visits_reserved")),
                name="a_job_never_promises_more_visits_than_its_budget",
            )
        ]

    def __str__(self) -> str:
        return f"job {str(self.id)[:8]} ({self.status})"


S = Job.Status
ENDED = frozenset({S.COMPLETED, S.BUDGET_EXHAUSTED, S.PRIVACY_EXHAUSTED, S.STOPPED, S.FAILED})
LIVE = frozenset({S.FUNDED, S.WAITING, S.NOTICE, S.SCHEDULED, S.RUNNING, S.PAUSED, S.SUSPENDED})
"""Paid for and not over."""
_ENDINGS = ENDED | {S.SUSPENDED}
TRANSITIONS: dict[str, frozenset[str]] = {
    S.DRAFT: frozenset({S.VALIDATED, S.APPROVAL, S.FAILED}),
    S.APPROVAL: frozenset({S.VALIDATED, S.RETURNED}),
    S.RETURNED: frozenset(),
    S.VALIDATED: frozenset({S.FUNDED, S.STOPPED, S.FAILED}),
    S.FUNDED: frozenset({S.WAITING, S.NOTICE, S.SCHEDULED}) | _ENDINGS,
    S.WAITING: frozenset({S.NOTICE, S.SCHEDULED}) | _ENDINGS,
    S.NOTICE: frozenset({S.WAITING, S.SCHEDULED}) | _ENDINGS,
    S.SCHEDULED: frozenset({S.RUNNING, S.WAITING}) | _ENDINGS,
    S.RUNNING: frozenset({S.PAUSED}) | _ENDINGS,
    S.PAUSED: frozenset({S.RUNNING}) | _ENDINGS,
    S.SUSPENDED: frozenset({S.FUNDED, S.RUNNING, S.STOPPED}),
    S.COMPLETED: frozenset({S.SETTLED}),
    S.BUDGET_EXHAUSTED: frozenset({S.SETTLED}),
    S.PRIVACY_EXHAUSTED: frozenset({S.SETTLED}),
    S.STOPPED: frozenset({S.SETTLED}),
    S.FAILED: frozenset({S.SETTLED}),
    S.SETTLED: frozenset(),
}
"""From each status, where it may go. The only table of its kind."""


class JobTransition(models.Model):
    """Append-only: every change of a job's status, with its reason."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="transitions")
    before = models.CharField(max_length=24)
    after = models.CharField(max_length=24)
    reason = models.CharField(max_length=500, blank=True)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.before} → {self.after}"

    @property
    def became(self) -> str:
        """The status after it, in the reader's language."""
        return str(Job.Status(self.after).label)


class Round(models.Model):
    """The collective's view of a round: counts only, never who."""

    class Status(models.TextChoices):
        OPENING = "opening", lazy("opening")
        INVITING = "inviting", lazy("inviting wallets")
        AGGREGATING = "aggregating", lazy("wallets are computing")
        COLLECTING = "collecting", lazy("collecting the sum")
        POSTED = "posted", lazy("in the model")
        ABANDONED = "abandoned", lazy("abandoned")

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="rounds")
    number = models.PositiveIntegerField()
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.OPENING)
    reason = models.CharField(max_length=500, blank=True)
    abort_reason = models.CharField(max_length=300, blank=True, help_text="An administrator wants it ended.")
    header_hash = hex32(blank=True)
    reserved = models.PositiveIntegerField(default=0)
    phase = models.CharField(max_length=24, blank=True)
    enough = models.BooleanField(default=False)
    deadline = models.DateTimeField(null=True, blank=True)
    invited = models.PositiveIntegerField(default=0)
    accepted = models.PositiveIntegerField(default=0)
    delivered = models.PositiveIntegerField(default=0)
    receipts = models.PositiveIntegerField(default=0)
    joined = models.PositiveIntegerField(default=0)
    survivors = models.PositiveIntegerField(default=0)
    buckets = models.PositiveIntegerField(default=0)
    stood_out = models.PositiveIntegerField(
        default=0, help_text="Buckets whose sum was far from the others'."
    )
    acknowledged = models.BooleanField(
        default=False, help_text="The aggregator knows that its sum may be erased."
    )
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["job", "number"]
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="a_round_number_is_used_once"),
            models.UniqueConstraint(
                fields=["job"],
                condition=~Q(status__in=["posted", "abandoned"]),
                name="a_job_has_one_open_round",
            ),
        ]

    def __str__(self) -> str:
        return f"round {self.number} of {self.job}"


class Checkpoint(models.Model):
    """The model after a round (number 0: the initial weights). Never changed."""

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="checkpoints")
    number = models.PositiveIntegerField()
    weights = models.BinaryField(help_text="float32 little-endian")
    moments = models.BinaryField(help_text="the optimiser's state")
    hash = hex32()
    aggregate_hash = hex32(blank=True, help_text="SHA-256 of the released mean this step was made from.")
    wallets = models.PositiveIntegerField(default=0, help_text="in the sum of this step")
    clip_micro = models.PositiveBigIntegerField(
        default=0, help_text="The next round's clip bound in millionths, where it adapts; 0: the algorithm's."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["job", "number"]
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="one_checkpoint_per_round")]

    def __str__(self) -> str:
        return f"checkpoint {self.number} of {self.job}"
