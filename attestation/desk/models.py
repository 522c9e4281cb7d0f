"""What an issuer keeps: its key (sealed), and per credential a place in the status list. Values go when they were collected."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils.translation import gettext_lazy as _


class Issuer(models.Model):
    """Somebody who attests values, known by a did:key. `account` is an opaque id of the log-in; there is no relation to it."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.CharField(max_length=64, db_index=True)
    name = models.CharField(max_length=120)
    did = models.CharField(max_length=80, unique=True)
    sealed_key = models.BinaryField()
    definition = models.TextField(
        blank=True, help_text="Public keys for proofs that link nothing; empty until made."
    )
    sealed_definition = models.BinaryField(null=True)
    definition_wanted = models.BooleanField(
        default=False, help_text="Those keys were asked for on the page, and a worker makes them."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Registry(models.Model):
    """Places of credentials for proofs that link nothing, by which they are revoked. `token` and `tails` are public."""

    issuer = models.ForeignKey(Issuer, on_delete=models.PROTECT, related_name="registries")
    number = models.PositiveIntegerField()
    size = models.PositiveIntegerField()
    token = models.TextField()
    sealed_private = models.BinaryField()
    tails = models.BinaryField()

    class Meta:
        ordering = ["number"]
        verbose_name_plural = "registries"
        constraints = [
            models.UniqueConstraint(fields=["issuer", "number"], name="one_registry_per_number"),
        ]

    def __str__(self) -> str:
        return f"{self.issuer}, {self.number}"


class Credential(models.Model):
    """One credential. `sealed_offer` holds the values until the wallet has them or the offer ends; afterwards nobody here does."""

    class Status(models.TextChoices):
        OFFERED = "offered", _("waits for the wallet")
        ISSUED = "issued", _("in the wallet")
        LAPSED = "lapsed", _("never collected")
        REVOKED = "revoked", _("revoked")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    issuer = models.ForeignKey(Issuer, on_delete=models.PROTECT, related_name="credentials")
    label = models.CharField(max_length=120)
    fields = models.JSONField(default=list)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OFFERED)
    status_index = models.PositiveIntegerField()
    registry = models.ForeignKey(
        Registry, on_delete=models.PROTECT, null=True, editable=False, related_name="credentials"
    )
    places = models.JSONField(default=dict, help_text="Field to place in the registry, once collected.")
    sealed_offer = models.BinaryField(null=True)
    code_hash = models.CharField(max_length=64, unique=True, null=True)
    holder_hash = models.CharField(max_length=64, blank=True)
    offer_ends = models.DateTimeField()
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True)
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["issuer", "status_index"], name="one_credential_per_place"),
            models.CheckConstraint(
                condition=models.Q(status__in=["offered", "issued", "lapsed", "revoked"]),
                name="credential_status_is_known",
            ),
        ]

    def __str__(self) -> str:
        return self.label
