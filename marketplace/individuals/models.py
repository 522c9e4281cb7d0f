"""Rows of "My wallet". Every write goes through `marketplace.individuals.services`."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class WalletLink(models.Model):
    """A wallet paired with an account. The mailbox key is how offers reach it; the market knows nothing else of it."""

    class Status(models.TextChoices):
        ACTIVE = "active", _("paired")
        REMOVING = "removing", _("being removed")
        REMOVED = "removed", _("removed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="wallets")
    mailbox_key = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=60, blank=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.ACTIVE)
    paired_at = models.DateTimeField()

    class Meta:
        ordering = ["-paired_at"]

    def __str__(self) -> str:
        return f"wallet {self.label or str(self.id)[:8]}"


class PairingCode(models.Model):
    """A one-time code. Only its hash is kept; the page derives the code itself from the row's id and the site's secret."""

    class Status(models.TextChoices):
        WAITING = "waiting", _("waiting for the wallet")
        USED = "used", _("used")
        REPLACED = "replaced", _("replaced by a newer one")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="pairing_codes"
    )
    code_hash = models.CharField(max_length=64, unique=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    wallet = models.ForeignKey(WalletLink, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["account"],
                condition=Q(status="waiting"),
                name="one_waiting_code_per_account",
                violation_error_message=_("There is a waiting code already."),
            ),
            models.CheckConstraint(
                condition=Q(expires_at__gt=models.F("created_at")), name="a_code_expires_after_it_is_made"
            ),
        ]

    def __str__(self) -> str:
        return f"pairing code {str(self.id)[:8]} ({self.status})"

    @property
    def expired(self) -> bool:
        return self.status == self.Status.WAITING and self.expires_at <= timezone.now()


class SubscriptionLink(models.Model):
    """A person's own note: this subscription is mine. The only place where an account meets a pseudonym; deletable."""

    class Status(models.TextChoices):
        SENDING = "sending", _("kept until the wallet service answers")
        OFFERED = "offered", _("waiting for your wallet")
        SUBSCRIBED = "subscribed", _("subscribed")
        DECLINED = "declined", _("not subscribed")
        EXPIRED = "expired", _("offer expired")
        REVOKED = "revoked", _("revoked")

    class By(models.TextChoices):
        WALLET = "wallet", _("in the wallet")
        WEB = "web", _("on this site")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # treat as immutable
    account = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="subscription_links"
    )
    wallet = models.ForeignKey(WalletLink, on_delete=models.SET_NULL, null=True, related_name="links")
    collective_id = models.UUIDField()
    terms_hash = models.CharField(max_length=64)
    terms_version = models.PositiveIntegerField()
    offer_ref = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(help_text=_("When an unanswered offer ends."))
    valid_seconds = models.PositiveIntegerField(
        default=0, help_text=_("How long the permission shall last at most; 0: as long as the terms say.")
    )
    # mutable
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.SENDING)
    subscription_key = models.CharField(max_length=64, blank=True)
    subscribed_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=6, choices=By.choices, blank=True)
    permit_deleted_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When the wallet told us that its permit is deleted.")
    )

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["account", "status"])]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "collective_id"],
                condition=Q(status__in=["sending", "offered", "subscribed"]),
                name="one_open_link_per_account_and_collective",
                violation_error_message=_(
                    "You have an offer or a subscription with this collective already."
                ),
            ),
            models.CheckConstraint(
                condition=~Q(status="subscribed") | ~Q(subscription_key=""),
                name="a_subscription_names_its_key",
            ),
        ]

    def __str__(self) -> str:
        # No pseudonym: this text may reach an admin page or a log.
        return f"link {str(self.id)[:8]} ({self.status})"

    @property
    def open(self) -> bool:
        return self.status in (self.Status.SENDING, self.Status.OFFERED, self.Status.SUBSCRIBED)

    @property
    def waits_for_wallet(self) -> bool:
        """Revoked here, and the wallet has not said yet that its permit is deleted."""
        here = self.status == self.Status.REVOKED and self.ended_by == self.By.WEB
        return here and bool(self.subscription_key) and self.permit_deleted_at is None


class NoticeChoice(models.Model):
    """What a person clicked on a notice here, on its way to the wallet that must sign it."""

    class Status(models.TextChoices):
        SENDING = "sending", _("kept until the wallet service answers")
        SENT = "sent", _("waiting for your wallet")
        DONE = "done", _("taken by your wallet")
        REFUSED = "refused", _("not taken by your wallet")

    class Choice(models.TextChoices):
        WITH = "with", _("Keep going with the new algorithm")
        WITHOUT = "without", _("Keep my subscription without it")
        LEAVE = "leave", _("Leave this collective")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    link = models.ForeignKey(SubscriptionLink, on_delete=models.CASCADE, related_name="notice_choices")
    notice_ref = models.CharField(max_length=64)
    choice = models.CharField(max_length=8, choices=Choice.choices)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.SENDING)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["link", "notice_ref"])]

    def __str__(self) -> str:
        return f"choice {str(self.id)[:8]} ({self.status})"


class NoticeMail(models.Model):
    """A letter that says there is something to decide, without saying what. Two at most for each notice: the news, one reminder."""

    class Kind(models.TextChoices):
        NEWS = "news", _("the notice was announced")
        REMINDER = "reminder", _("half of its time is over")

    class Status(models.TextChoices):
        WAITING = "waiting", _("to be sent")
        SENT = "sent", _("sent")

    link = models.ForeignKey(SubscriptionLink, on_delete=models.CASCADE, related_name="notice_mails")
    notice_ref = models.CharField(max_length=64)
    kind = models.CharField(max_length=8, choices=Kind.choices)
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.WAITING)
    created_at = models.DateTimeField()
    not_before = models.DateTimeField(help_text=_("When it may be tried; moved ahead by whoever tries."))

    class Meta:
        ordering = ["created_at", "pk"]
        indexes = [models.Index(fields=["status", "not_before"])]
        constraints = [
            models.UniqueConstraint(
                fields=["link", "notice_ref", "kind"], name="one_letter_of_a_kind_per_notice"
            )
        ]

    def __str__(self) -> str:
        return f"letter {self.pk} ({self.kind}, {self.status})"
