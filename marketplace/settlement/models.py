"""Rows of money. A chain transaction is a row first; what happened on chain is written back to it."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from collectives.models.fields import amount
from marketplace.settlement.movement_models import FundsMovement as FundsMovement


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
    balance = amount(null=True, blank=True, help_text="Native coin as last seen, wei.")
    looked_at = models.DateTimeField(null=True, blank=True)

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

    ON_ITS_WAY = (State.NEW, State.SIGNED, State.SENT, State.MINED)
    """Neither confirmed nor failed. Asked for by name, so that the index of states finds them among all there ever were."""

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

    @property
    def kind(self) -> str:
        """What it is for, in a consumer's words."""
        word = self.key.partition(":")[0]
        return str(CONSUMER_WORDS.get(word, word))


CONSUMER_WORDS = {
    "approve": _("allow the escrow to take a budget"),
    "open": _("put a budget into escrow"),
    "dispense": _("receive a collective's datatoken"),
    "pay": _("allow the exchange to take a price"),
    "buy": _("buy a collective's datatoken"),
    "orderfee": _("allow the provider fee"),
    "order": _("start an order"),
    "reuse": _("renew an order"),
    "payfor": _("allow the sale to take a price"),
    "purchase": _("buy a model"),
    "permit": _("take your permit to the chain"),
    "bring": _("bring tokens from your own wallet"),
    "send": _("send tokens to your own wallet"),
}


class ConsumerWallet(models.Model):
    """An account's address here, its key sealed with the platform: what was brought stands at it until a job takes it (ADR 18)."""

    account = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="chain_wallet"
    )
    address = models.CharField(max_length=42, unique=True)
    sealed_key = models.BinaryField()

    def __str__(self) -> str:
        return self.address


class Asset(models.Model):
    """A collective, an algorithm or a finished model as an Ocean asset: data NFT, datatoken, price, and its document on chain."""

    class Kind(models.TextChoices):
        COLLECTIVE = "collective", "collective"
        ALGORITHM = "algorithm", "algorithm"
        MODEL = "model", "model"

    class Status(models.TextChoices):
        CREATING = "creating", "being created on chain"
        CREATED = "created", "created, its document follows"
        PUBLISHED = "published", "published"
        FAILED = "failed", "refused by the chain"

    class State(models.IntegerChoices):
        """Ocean's own numbers."""

        ACTIVE = 0, "active"
        END_OF_LIFE = 1, "end of life"
        DEPRECATED = 2, "deprecated by another asset"
        REVOKED = 3, "revoked by its publisher"
        ORDERING_DISABLED = 4, "ordering disabled for now"
        UNLISTED = 5, "unlisted, may be ordered"

    # treat as immutable
    chain_id = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=10, choices=Kind.choices)
    subject = models.CharField(max_length=64, help_text="Collective, manifest hash or job.")
    payee = models.ForeignKey(
        ConsumerWallet, on_delete=models.PROTECT, related_name="assets", help_text="Gets what its orders pay."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    # mutable
    price = amount(default=0, help_text="Base units for one order; 0: free.")
    nft = models.CharField(max_length=42, blank=True)
    datatoken = models.CharField(max_length=42, blank=True)
    exchange = models.CharField(
        max_length=66, blank=True, help_text="Of its fixed price, if it ever had one."
    )
    dispenser = models.BooleanField(default=False, help_text="It was free once: a dispenser exists.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.CREATING)
    document = models.JSONField(default=dict, help_text="The DDO as it was last sent.")
    document_hash = models.CharField(max_length=64, blank=True, help_text="As the chain has it.")
    state = models.PositiveSmallIntegerField(choices=State.choices, default=State.ACTIVE)
    tries = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["chain_id", "kind", "subject"], name="a_thing_is_one_asset_per_chain"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.subject[:8]}"

    @property
    def orderable(self) -> bool:
        return self.status == self.Status.PUBLISHED and self.state in (self.State.ACTIVE, self.State.UNLISTED)


class AssetOrder(models.Model):
    """One datatoken spent by a consumer. It opens one job, until `valid_until`; after that its provider fee is due again."""

    class Status(models.TextChoices):
        STARTING = "starting", "being started"
        VALID = "valid", "valid"
        FAILED = "failed", "failed"

    asset = models.ForeignKey(Asset, on_delete=models.PROTECT, related_name="orders")
    wallet = models.ForeignKey(ConsumerWallet, on_delete=models.PROTECT, related_name="asset_orders")
    created_at = models.DateTimeField(auto_now_add=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.STARTING)
    order_id = models.CharField(
        max_length=66, blank=True, help_text="Hash of the transaction that started it, as Ocean names it."
    )
    valid_until = models.PositiveBigIntegerField(help_text="Unix seconds, as the provider signed.")
    expires = models.PositiveBigIntegerField(help_text="Until when it may be used again, unix seconds.")
    consumed = models.BooleanField(default=False, help_text="It opened a job.")
    renewals = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"order of {self.asset}"


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
    asset = models.ForeignKey(Asset, null=True, blank=True, on_delete=models.PROTECT, related_name="escrows")
    asset_order = models.OneToOneField(
        AssetOrder, null=True, blank=True, on_delete=models.PROTECT, related_name="escrow"
    )
    reason = models.CharField(max_length=300, blank=True, help_text="Why it could not be opened.")
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


class ModelOffer(models.Model):
    """A finished model for sale: an asset whose datatoken the ModelSale contract makes for whoever pays."""

    class Status(models.TextChoices):
        LISTING = "listing", "on its way to the chain"
        OFFERED = "offered", "for sale"
        WITHDRAWN = "withdrawn", "no longer for sale"
        FAILED = "failed", "refused by the chain"

    job_id = models.UUIDField(unique=True)
    asset = models.OneToOneField(Asset, on_delete=models.PROTECT, related_name="offer")
    price = amount(help_text="Base units.")
    share_ppm = models.PositiveIntegerField(help_text="What individuals get, millionths of the price.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.LISTING)
    changes = models.PositiveIntegerField(default=0, help_text="How often its terms of sale were sent.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(share_ppm__lte=1_000_000), name="individuals_get_at_most_the_whole_price"
            )
        ]

    def __str__(self) -> str:
        return f"model of job {str(self.job_id)[:8]}"

    @property
    def to_individuals(self) -> int:
        """Their part of one sale, base units, rounded down as the contract does."""
        return int(self.price) * self.share_ppm // 1_000_000

    @property
    def to_collective(self) -> int:
        return int(self.price) - self.to_individuals


class ModelPurchase(models.Model):
    """One buyer of one model. Paid: it may be downloaded; the individuals' part goes into the next epoch."""

    class Status(models.TextChoices):
        WAITING = "waiting", "being paid"
        PAID = "paid", "paid"
        FAILED = "failed", "failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    offer = models.ForeignKey(ModelOffer, on_delete=models.PROTECT, related_name="purchases")
    buyer = models.ForeignKey(ConsumerWallet, on_delete=models.PROTECT, related_name="purchases")
    most = amount(help_text="The most the buyer pays, base units.")
    price = amount(default=0, help_text="What was paid.")
    to_individuals = amount(default=0)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    reason = models.CharField(max_length=300, blank=True)
    epoch = models.PositiveIntegerField(
        null=True, blank=True, help_text="The epoch that pays the individuals' part."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["offer", "buyer"], condition=~Q(status="failed"), name="a_buyer_buys_a_model_once"
            )
        ]

    def __str__(self) -> str:
        return f"purchase of {self.offer}"


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
    sold = amount(default=0, help_text="How much of what was earned came from sold models.")
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
