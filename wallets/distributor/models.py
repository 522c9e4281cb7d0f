"""What the distributor keeps: routes to wallets, jobs with their frozen enrolment log, rounds, and what it signed.

Keys and hashes are lowercase hex, ids of other domains are UUIDs without a relation, times are integer unix seconds.
Rows that prove what was done (`Enrolment` after the freeze, `Signed`) are written once.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models
from django.db.models import F, Q

HEX_KEY = 64
ALIAS = "distributor"


class Presence(models.Model):
    """When a key was last heard on a wallet socket. Written in batches by the hub; no history."""

    key = models.CharField(max_length=HEX_KEY, primary_key=True)
    connected = models.BooleanField(default=False)
    last_seen = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "presences"


class Mailbox(models.Model):
    """A paired wallet's mailbox, known to the market by its key."""

    key = models.CharField(max_length=HEX_KEY, primary_key=True)
    created = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "mailboxes"


class Mail(models.Model):
    """Something to tell one wallet, kept until it is acknowledged or expires."""

    class State(models.TextChoices):
        WAITING = "waiting"
        DONE = "done"
        REFUSED = "refused"
        EXPIRED = "expired"

    class Kind(models.TextChoices):
        OFFER = "offer"
        REVOKED = "revoked"
        NOTICE = "notice"
        STANDING = "standing"
        """The aggregator excluded this wallet, or takes that back."""

    key = models.CharField(max_length=HEX_KEY)
    ref = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    body = models.TextField(blank=True)
    expires = models.BigIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    created = models.BigIntegerField()

    class Meta:
        constraints = [
            # The sender's reference makes a repeated call the same mail.
            models.UniqueConstraint(fields=["key", "ref"], name="mail_once_per_reference"),
        ]
        indexes = [
            models.Index(fields=["key"], condition=Q(state="waiting"), name="mail_waiting"),
            models.Index(fields=["ref"], condition=Q(kind="notice"), name="mail_of_a_notice"),
        ]
        verbose_name_plural = "mail"


class Subscriber(models.Model):
    """A subscription key under which a wallet may be asked to take part in a collective's jobs."""

    class State(models.TextChoices):
        ACTIVE = "active"
        EXCLUDED = "excluded"
        """Not asked; still a subscriber, and told what there is to tell."""
        STOPPED = "stopped"

    collective_id = models.UUIDField()
    key = models.CharField(max_length=HEX_KEY)
    terms_hash = models.CharField(max_length=HEX_KEY)
    expires = models.BigIntegerField()
    mailbox = models.CharField(max_length=HEX_KEY, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    created = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["collective_id", "key"], name="subscriber_once_per_collective"),
            # Pairwise keys: a key that serves two collectives would link a holder.
            models.UniqueConstraint(fields=["key"], name="subscription_key_in_one_collective"),
        ]
        indexes = [models.Index(fields=["collective_id", "state"], name="subscriber_by_state")]


class Notice(models.Model):
    """An announcement of a collective, addressed to its subscribers as mail with the same reference."""

    collective_id = models.UUIDField()
    ref = models.CharField(max_length=200)
    envelope = models.TextField()
    addressed = models.PositiveIntegerField(default=0)
    created = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["collective_id", "ref"], name="notice_once")]


class Job(models.Model):
    """A training job: its enrolment, its log, its cohort key."""

    class State(models.TextChoices):
        CREATED = "created"
        ENROLLING = "enrolling"
        FROZEN = "frozen"
        ENDED = "ended"

    # immutable
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    collective_id = models.UUIDField()
    cohort_key = models.BinaryField()
    """32 bytes: the key of the PRF that draws cohorts. Its SHA-256 is published before the log freezes."""
    cohort_commitment = models.CharField(max_length=HEX_KEY)
    created = models.BigIntegerField()
    # set once
    announcement = models.TextField(blank=True)
    manifest_hash = models.CharField(max_length=HEX_KEY, blank=True)
    rate = models.CharField(max_length=40, blank=True)
    enrol_until = models.BigIntegerField(null=True)
    expires = models.BigIntegerField(null=True)
    log_root = models.CharField(max_length=HEX_KEY, blank=True)
    log_size = models.PositiveIntegerField(default=0)
    # mutable
    state = models.CharField(max_length=10, choices=State.choices, default=State.CREATED)
    members_told = models.BooleanField(default=False)
    """Whether the aggregator has the frozen log."""

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="frozen") | ~Q(log_root=""), name="a_frozen_job_has_a_log_root"
            ),
            models.CheckConstraint(
                condition=Q(members_told=False) | ~Q(log_root=""), name="members_are_told_after_the_freeze"
            ),
        ]

    def __str__(self) -> str:
        return f"job {self.id}"


class Enrolment(models.Model):
    """One subscriber's answer to a job's announcement; after the freeze, its place in the log."""

    class State(models.TextChoices):
        ASKED = "asked"
        ENROLLED = "enrolled"
        DECLINED = "declined"

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="enrolments")
    subscription_key = models.CharField(max_length=HEX_KEY)
    ident = models.BinaryField(max_length=16)
    """The id of the question on the wire."""
    state = models.CharField(max_length=10, choices=State.choices, default=State.ASKED)
    job_key = models.CharField(max_length=HEX_KEY, null=True)
    body = models.BinaryField(default=b"")
    index = models.PositiveIntegerField(null=True)
    times_drawn = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "subscription_key"], name="enrolment_once_per_job"),
            models.UniqueConstraint(fields=["job", "job_key"], name="job_key_once_per_job"),
            models.UniqueConstraint(fields=["job", "index"], name="log_index_once_per_job"),
            models.UniqueConstraint(fields=["ident"], name="enrolment_ident"),
            models.CheckConstraint(
                condition=Q(index__isnull=True) | Q(state="enrolled"), name="only_the_enrolled_are_in_the_log"
            ),
        ]


class Payload(models.Model):
    """What a cohort downloads: manifest and weights, stored once per content."""

    digest = models.CharField(max_length=HEX_KEY, primary_key=True)
    body = models.BinaryField()
    created = models.BigIntegerField()


class Round(models.Model):
    """One delivery of a signed task to a drawn cohort."""

    class State(models.TextChoices):
        INVITING = "inviting"
        DELIVERING = "delivering"
        DELIVERED = "delivered"
        SHORT = "short"
        CLOSED = "closed"

    # immutable
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="rounds")
    number = models.PositiveIntegerField()
    task_body = models.BinaryField()
    task_signature = models.BinaryField()
    header = models.BinaryField()
    manifest_hash = models.CharField(max_length=HEX_KEY)
    payload_digest = models.CharField(max_length=HEX_KEY)
    payload_token = models.CharField(max_length=HEX_KEY)
    cohort = models.PositiveIntegerField()
    minimum = models.PositiveIntegerField()
    wanted = models.PositiveIntegerField()
    """How many acceptances are sought: cohort times over-selection, at most `max_deliveries`."""
    coin_ppm = models.PositiveIntegerField(default=0)
    """Each wallet is invited by a coin of its own with this chance in a million; 0: in turn."""
    max_deliveries = models.PositiveIntegerField()
    accept_until = models.BigIntegerField()
    expires = models.BigIntegerField()
    created = models.BigIntegerField()
    # mutable
    state = models.CharField(max_length=10, choices=State.choices, default=State.INVITING)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="distributed_round_once_per_job"),
            models.CheckConstraint(
                condition=Q(minimum__lte=F("cohort")), name="the_minimum_fits_into_the_cohort"
            ),
            models.CheckConstraint(
                condition=Q(wanted__lte=F("max_deliveries")), name="never_more_visits_than_were_reserved"
            ),
        ]
        indexes = [models.Index(fields=["state"], name="distributed_round_by_state")]

    def __str__(self) -> str:
        return f"round {self.number} of {self.job_id}"


class Invitation(models.Model):
    """One drawn wallet in one round."""

    class State(models.TextChoices):
        INVITED = "invited"
        ACCEPTED = "accepted"
        DECLINED = "declined"
        DELIVERED = "delivered"
        CANCELLED = "cancelled"

    round = models.ForeignKey(Round, on_delete=models.CASCADE, related_name="invitations")
    enrolment = models.ForeignKey(Enrolment, on_delete=models.CASCADE, related_name="invitations")
    ident = models.BinaryField(max_length=16)
    ticket = models.BinaryField(max_length=16)
    state = models.CharField(max_length=10, choices=State.choices, default=State.INVITED)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["round", "enrolment"], name="invited_once_per_round"),
            models.UniqueConstraint(fields=["ident"], name="invitation_ident"),
        ]


class Signed(models.Model):
    """What the distributor signed about a round: at most one set of lists and one set of survivors, for ever.

    The row is committed before the signature leaves; a second, different request of the same kind is refused.
    """

    class Kind(models.TextChoices):
        LISTS = "lists"
        SURVIVORS = "survivors"

    job_id = models.UUIDField()
    round = models.PositiveIntegerField()
    kind = models.CharField(max_length=10, choices=Kind.choices)
    digest = models.CharField(max_length=HEX_KEY)
    lists_root = models.CharField(max_length=HEX_KEY)
    signature = models.BinaryField()
    created = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job_id", "round", "kind"], name="signed_once_per_round_and_kind")
        ]
        verbose_name_plural = "signed"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.pk is not None:
            raise TypeError("what was signed is never changed")
        super().save(*args, **kwargs)
