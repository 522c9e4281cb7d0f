"""Rows of money. A chain transaction is a row first; what happened on chain is written back to it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from collectives.models.fields import amount


class Deployment(models.Model):
    """Where a contract of ours (or the token) lives on the pinned chain."""

    chain_id = models.PositiveBigIntegerField()
    name = models.CharField(max_length=40)
    address = models.CharField(max_length=42)
    block = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["chain_id", "name"], name="one_contract_per_name_and_chain")
        ]

    def __str__(self) -> str:
        return f"{self.name} on chain {self.chain_id}"


class Signer(models.Model):
    """Nonces of one address: handed out here, under its row's lock, and nowhere else."""

    chain_id = models.PositiveBigIntegerField()
    address = models.CharField(max_length=42)
    next_nonce = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["chain_id", "address"], name="one_nonce_counter_per_address")
        ]

    def __str__(self) -> str:
        return self.address


class ChainTransaction(models.Model):
    """The outbox. `key` says what it is for and exists once, so nothing is ever sent for two nonces."""

    class State(models.TextChoices):
        NEW = "new", "waiting to be signed"
        SIGNED = "signed", "signed"
        SENT = "sent", "sent"
        MINED = "mined", "mined"
        CONFIRMED = "confirmed", "confirmed"
        FAILED = "failed", "failed"

    # treat as immutable
    key = models.CharField(max_length=120, unique=True)
    purpose = models.CharField(
        max_length=60, help_text="Whose key signs: a platform purpose, or consumer:<id>."
    )
    to = models.CharField(max_length=42, blank=True)
    data = models.BinaryField(default=bytes)
    value = amount(default=0)
    gas = models.PositiveIntegerField()
    depends_on = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="followers"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    # mutable
    state = models.CharField(max_length=10, choices=State.choices, default=State.NEW)
    signer = models.ForeignKey(Signer, null=True, blank=True, on_delete=models.PROTECT)
    nonce = models.PositiveBigIntegerField(null=True, blank=True)
    raw = models.BinaryField(default=bytes)
    hash = models.CharField(max_length=66, blank=True)
    earlier_hashes = models.JSONField(default=list, help_text="Of the same nonce, before a fee bump.")
    sent_at = models.DateTimeField(null=True, blank=True)
    block_number = models.PositiveBigIntegerField(null=True, blank=True)
    block_hash = models.CharField(max_length=66, blank=True)
    gas_used = models.PositiveBigIntegerField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["state"])]
        constraints = [
            models.UniqueConstraint(
                fields=["signer", "nonce"],
                condition=Q(nonce__isnull=False),
                name="a_nonce_belongs_to_one_transaction",
            ),
            models.CheckConstraint(condition=Q(gas__lte=16_777_216), name="a_transaction_fits_the_gas_limit"),
        ]

    def __str__(self) -> str:
        return f"{self.key}: {self.state}"


class ConsumerWallet(models.Model):
    """A consumer's chain key in the platform's custody. Development only: in production consumers sign themselves."""

    account = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="chain_wallet"
    )
    address = models.CharField(max_length=42, unique=True)
    sealed_key = models.BinaryField()

    def __str__(self) -> str:
        return self.address


class Escrow(models.Model):
    """A job's budget on chain, as the confirmed transactions say."""

    class Status(models.TextChoices):
        OPENING = "opening", "opening"
        OPEN = "open", "open"
        CLOSING = "closing", "closing"
        CLOSED = "closed", "closed"
        FAILED = "failed", "failed"

    job_id = models.UUIDField(unique=True)
    consumer = models.ForeignKey(ConsumerWallet, on_delete=models.PROTECT, related_name="escrows")
    order_id = models.CharField(
        max_length=66, default="0x" + "00" * 32, help_text="The Ocean order it consumes."
    )
    rate = amount()
    budget = amount()
    expires = models.PositiveBigIntegerField()
    spent = amount(default=0)
    sequence = models.PositiveIntegerField(default=0)
    refunded = amount(default=0)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPENING)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(spent__lte=F("budget")), name="an_escrow_never_spends_above_its_budget"
            )
        ]

    def __str__(self) -> str:
        return f"escrow of job {str(self.job_id)[:8]}"


class SettlementEpoch(models.Model):
    """One closed epoch, as the aggregator signed it."""

    class Status(models.TextChoices):
        SETTLING = "settling", "being settled"
        DONE = "done", "done"

    number = models.PositiveIntegerField(unique=True)
    statement = models.JSONField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.SETTLING)
    earned = amount()
    paid = amount()
    carried = amount()
    held_over = amount()
    told_aggregator = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-number"]

    def __str__(self) -> str:
        return f"epoch {self.number}"


class Payout(models.Model):
    """One address in one epoch's batch. There is no way from here to a visit, a job or a person."""

    epoch = models.ForeignKey(SettlementEpoch, on_delete=models.PROTECT, related_name="payouts")
    transaction = models.ForeignKey(ChainTransaction, on_delete=models.PROTECT, related_name="payouts")
    address = models.CharField(max_length=42, db_index=True)
    amount = amount()

    class Meta:
        ordering = ["address"]
        constraints = [
            models.UniqueConstraint(fields=["epoch", "address"], name="an_address_is_paid_once_per_epoch")
        ]

    def __str__(self) -> str:
        return f"payout in {self.epoch}"


class Reconciliation(models.Model):
    """One comparison of ledger and chain. The newest one decides whether new jobs are taken."""

    ok = models.BooleanField()
    lines = models.JSONField(help_text="[name, ledger, chain] in base units")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return "equal" if self.ok else "different"
