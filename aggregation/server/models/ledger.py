"""The ledger of visits, payout addresses apart from it, and what was stated per settlement epoch.

A visit row is written once, when its presence receipt is valid. After its epoch is settled the row is deleted and only
totals remain: which visit a payout belonged to is then known to nobody.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from aggregation.server.models.fields import BaseUnitsField
from aggregation.server.models.jobs import HEX_KEY


class Visit(models.Model):
    """One presence receipt: the billable event."""

    job_id = models.UUIDField()
    round = models.PositiveIntegerField()
    collective_id = models.UUIDField()
    subscription_key = models.CharField(max_length=HEX_KEY)
    rate = BaseUnitsField()
    receipt = models.BinaryField()
    at = models.BigIntegerField()
    epoch = models.PositiveIntegerField(null=True)
    """The epoch that stated it to the escrow; null = not yet."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["job_id", "round", "subscription_key"], name="a_visit_is_owed_once"
            ),
        ]
        indexes = [
            # All that is asked about them: how many of which job, at which rate, in which rounds. Their rows need not be read.
            models.Index(
                fields=["job_id", "rate", "round"], condition=Q(epoch__isnull=True), name="visit_unstated"
            ),
            models.Index(fields=["epoch"], condition=Q(epoch__isnull=False), name="visit_by_epoch"),
        ]


class PayoutAddress(models.Model):
    """Where a subscription is paid: opened to the aggregator only, at subscription time."""

    subscription_key = models.CharField(max_length=HEX_KEY, primary_key=True)
    address = models.CharField(max_length=40)
    opening = models.BinaryField()

    class Meta:
        verbose_name_plural = "payout addresses"


class Epoch(models.Model):
    """A stated settlement epoch. The statement never changes; its visits are forgotten when it is settled."""

    class State(models.TextChoices):
        STATED = "stated"
        SETTLED = "settled"

    number = models.PositiveIntegerField(primary_key=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.STATED)
    request = models.JSONField()
    """The conditions it was closed under."""
    statement = models.TextField()
    """The signed envelope as JSON."""
    earned = BaseUnitsField()
    paid = BaseUnitsField()
    carried = BaseUnitsField()
    held_over = BaseUnitsField()
    at = models.BigIntegerField()


class Balance(models.Model):
    """What an address is still owed after the last epoch (a remainder below a lot, or held over), and was paid so far."""

    address = models.CharField(max_length=40, primary_key=True)
    owed = BaseUnitsField()
    paid = BaseUnitsField()


class Unopened(models.Model):
    """What a subscription earned whose payout address nobody opened yet: held over until somebody does."""

    subscription_key = models.CharField(max_length=HEX_KEY, primary_key=True)
    amount = BaseUnitsField()

    class Meta:
        verbose_name_plural = "unopened"


class JobTotal(models.Model):
    """What was stated per job so far: the sequence number and visits the escrow knows."""

    job_id = models.UUIDField(primary_key=True)
    collective_id = models.UUIDField()
    sequence = models.PositiveIntegerField(default=0)
    visits = models.PositiveIntegerField(default=0)
    final = models.BooleanField(default=False)


class Shares(models.Model):
    """Whose visits made a model, for a sale that may come: sealed under a key that only the market can say again.

    Alone nobody can read it: the aggregator has no key, the market never sees the rows.
    """

    job_id = models.UUIDField()
    epoch = models.PositiveIntegerField()
    visits = models.PositiveIntegerField()
    sealed = models.BinaryField()

    class Meta:
        verbose_name_plural = "shares"
        constraints = [
            models.UniqueConstraint(
                fields=["job_id", "epoch"], name="shares_of_a_job_are_kept_once_per_epoch"
            )
        ]


class Sale(models.Model):
    """A sold model whose individuals' part was stated: never stated again."""

    id = models.UUIDField(primary_key=True)
    job_id = models.UUIDField()
    amount = BaseUnitsField()
    epoch = models.PositiveIntegerField()
