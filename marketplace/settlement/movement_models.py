"""What moves between a consumer's own wallet and their balance here."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from collectives.models.fields import amount


class FundsMovement(models.Model):
    """Tokens brought by a permit that the consumer signed, or sent back to an address of theirs."""

    class Kind(models.TextChoices):
        BRING = "bring", _("brought from your own wallet")
        SEND = "send", _("sent to your own wallet")

    class Status(models.TextChoices):
        WAITING = "waiting", _("on its way")
        DONE = "done", _("confirmed")
        FAILED = "failed", _("failed")

    # treat as immutable
    kind = models.CharField(max_length=5, choices=Kind.choices)
    wallet = models.ForeignKey(
        "settlement.ConsumerWallet", on_delete=models.PROTECT, related_name="movements"
    )
    address = models.CharField(max_length=42, help_text="The consumer's own, with its checksum.")
    amount = amount()
    nonce = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Of the permit, as the token counts."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    # mutable
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["address", "nonce"],
                condition=Q(kind="bring") & ~Q(status="failed"),
                name="a_permit_is_used_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"
