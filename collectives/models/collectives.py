"""A collective and the versions of its terms."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as lazy

from collectives.models.fields import hex32


class Collective(models.Model):
    class Status(models.TextChoices):
        ACTIVE = "active", lazy("active")
        SUSPENDED = "suspended", lazy("suspended")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="collectives")
    name = models.CharField(max_length=120)
    public_key = hex32(unique=True, help_text="The identifying key that wallets keep and check.")
    sealed_key = models.BinaryField(help_text="The private half, sealed at rest.")
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.ACTIVE)
    status_reason = models.CharField(max_length=300, blank=True, help_text="Shown to everybody.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class TermsVersion(models.Model):
    """One signed version of the four elements. Never changed: a change is another version."""

    collective = models.ForeignKey(Collective, on_delete=models.PROTECT, related_name="terms")
    version = models.PositiveIntegerField()
    document = models.JSONField()
    key = hex32()
    signature = models.CharField(max_length=128)
    hash = hex32(unique=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["collective", "-version"]
        constraints = [
            models.UniqueConstraint(
                fields=["collective", "version"],
                name="one_terms_document_per_version",
                violation_error_message="This version of the terms exists already.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.collective} v{self.version}"

    def envelope(self) -> dict[str, object]:
        """The signed document as it travels."""
        return {"kind": "terms", "document": self.document, "key": self.key, "signature": self.signature}
