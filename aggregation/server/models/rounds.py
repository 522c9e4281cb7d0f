"""One round's working state. Messages, masked inputs and the sum are erased when they are no longer needed."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from aggregation.server.models.jobs import HEX_KEY, Job
from aggregation.server.states import COLLECTING, Step

STEPS = [(step.value, step.value) for step in Step]
PHASES = [(step.value, step.value) for step in COLLECTING if step is not Step.MASKED_INPUT]


class RoundManager(models.Manager["Round"]):
    """Rounds without their sum: a vector is read only where its words are wanted, not wherever a step is looked at."""

    def get_queryset(self) -> models.QuerySet[Round]:
        return super().get_queryset().defer("sum")


class Round(models.Model):
    """A round. `fence` grows with every claim of the lease; a worker whose fence is old commits nothing."""

    # immutable
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="rounds")
    number = models.PositiveIntegerField()
    header = models.BinaryField()
    header_hash = models.CharField(max_length=HEX_KEY)
    requirement_hash = models.CharField(max_length=HEX_KEY)
    cohort = models.PositiveIntegerField()
    request_digest = models.CharField(max_length=HEX_KEY)
    """SHA-256 of what the collective asked for: a repeated call must ask for the same."""
    rule = models.CharField(max_length=10, default="sum")
    """How the sums of its buckets are put together (`aggregation.tampering.rules`)."""
    created = models.BigIntegerField()
    # mutable
    step = models.CharField(max_length=20, choices=STEPS, default=Step.OPENED.value)
    since = models.BigIntegerField()
    deadline = models.BigIntegerField()
    reason = models.CharField(max_length=200, blank=True)
    fence = models.PositiveBigIntegerField(default=0)
    lease_until = models.FloatField(default=0)
    randomness = models.CharField(max_length=HEX_KEY, blank=True)
    expected = models.PositiveIntegerField(default=0)
    receipts = models.PositiveIntegerField(default=0)
    joined = models.PositiveIntegerField(default=0)
    survivors = models.PositiveIntegerField(default=0)
    sum = models.BinaryField(null=True)
    """Little-endian words of four or eight bytes (`results.stored_sum`), until it is collected."""
    count = models.PositiveIntegerField(default=0)
    middle = models.BooleanField(default=False)
    """The sum is the middle of all buckets, because too many stood out."""
    collected_checkpoint = models.CharField(max_length=HEX_KEY, blank=True)

    objects = RoundManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="round_once_per_job"),
            models.CheckConstraint(
                condition=Q(sum__isnull=True) | Q(step=Step.RELEASED.value),
                name="a_sum_exists_only_while_released",
            ),
        ]
        indexes = [models.Index(fields=["step"], name="round_by_step")]

    def __str__(self) -> str:
        return f"round {self.number} of {self.job_id}"


class RoundTransition(models.Model):
    """The log of a round's life."""

    round = models.ForeignKey(Round, on_delete=models.CASCADE, related_name="transitions")
    before = models.CharField(max_length=20, choices=STEPS)
    after = models.CharField(max_length=20, choices=STEPS)
    reason = models.CharField(max_length=200, blank=True)
    at = models.BigIntegerField()


class Participant(models.Model):
    """A wallet something was delivered to. Whose visit it is stands in the member row."""

    class State(models.TextChoices):
        EXPECTED = "expected"
        PRESENT = "present"
        """Its receipt is in the ledger."""
        CANNOT = "cannot"
        """It said no before a receipt: not owed."""
        FAILED = "failed"
        """It said no after a receipt: owed, and out of the round."""
        OUT = "out"
        """It missed a phase, or its bucket was dropped."""

    round = models.ForeignKey(Round, on_delete=models.CASCADE, related_name="participants")
    job_key = models.CharField(max_length=HEX_KEY)
    subscription_key = models.CharField(max_length=HEX_KEY)
    ticket = models.CharField(max_length=32)
    state = models.CharField(max_length=10, choices=State.choices, default=State.EXPECTED)
    bucket = models.PositiveIntegerField(null=True)
    position = models.PositiveIntegerField(null=True)
    hub = models.CharField(max_length=40, blank=True)
    """The process that holds its socket; empty = none."""
    gone_since = models.FloatField(default=0)
    """Since when it has had no socket."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["round", "job_key"], name="participant_once"),
            models.UniqueConstraint(fields=["round", "bucket", "position"], name="place_once"),
        ]


class PhaseMessage(models.Model):
    """An accepted message of a phase. Its signature was verified before it was stored."""

    participant = models.ForeignKey(Participant, on_delete=models.CASCADE, related_name="messages")
    phase = models.CharField(max_length=20, choices=PHASES)
    body = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["participant", "phase"], name="one_message_per_phase"),
        ]


class MaskedInput(models.Model):
    """A stored masked input. The file holds it sealed, as it came; the digest is of the opened message."""

    participant = models.OneToOneField(Participant, on_delete=models.CASCADE, related_name="masked")
    digest = models.CharField(max_length=HEX_KEY)
    file = models.CharField(max_length=100)


class Bucket(models.Model):
    """One aggregation of a round."""

    class State(models.TextChoices):
        RUNNING = "running"
        FAILED = "failed"
        DONE = "done"

    round = models.ForeignKey(Round, on_delete=models.CASCADE, related_name="buckets")
    index = models.PositiveIntegerField()
    members = models.PositiveIntegerField()
    joined = models.JSONField(default=list)
    """Positions that shared keys."""
    survivors = models.JSONField(default=list)
    """Positions whose input is in the sum."""
    state = models.CharField(max_length=10, choices=State.choices, default=State.RUNNING)
    reason = models.CharField(max_length=200, blank=True)
    stood_out = models.BooleanField(default=False)
    """Its sum was far from the others'."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["round", "index"], name="bucket_once")]


class SigningRequest(models.Model):
    """Something the distributor is to sign; it polls for these."""

    class Kind(models.TextChoices):
        LISTS = "lists"
        SURVIVORS = "survivors"

    id = models.UUIDField(primary_key=True)
    round = models.ForeignKey(Round, on_delete=models.CASCADE, related_name="signing_requests")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    body = models.BinaryField()
    signature = models.BinaryField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["round", "kind"], name="one_request_per_kind")]
