"""History, read-only: nothing here is changed by hand, and no message, ticket, sum or address is shown."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from aggregation.server import models


class ReadOnlyAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(models.Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ["id", "collective_id", "rate", "log_size"]


@admin.register(models.Member)
class MemberAdmin(ReadOnlyAdmin):
    list_display = ["job", "index"]
    exclude = ["body"]


@admin.register(models.Round)
class RoundAdmin(ReadOnlyAdmin):
    list_display = ["job", "number", "step", "expected", "receipts", "joined", "survivors", "reason"]
    list_filter = ["step"]
    exclude = ["header", "sum", "randomness"]


@admin.register(models.RoundTransition)
class RoundTransitionAdmin(ReadOnlyAdmin):
    list_display = ["round", "before", "after", "reason", "at"]


@admin.register(models.Participant)
class ParticipantAdmin(ReadOnlyAdmin):
    list_display = ["round", "state", "bucket"]
    list_filter = ["state"]
    exclude = ["ticket"]


@admin.register(models.PhaseMessage)
class PhaseMessageAdmin(ReadOnlyAdmin):
    list_display = ["id", "phase"]
    list_filter = ["phase"]
    exclude = ["body"]


@admin.register(models.MaskedInput)
class MaskedInputAdmin(ReadOnlyAdmin):
    list_display = ["id", "digest"]


@admin.register(models.Bucket)
class BucketAdmin(ReadOnlyAdmin):
    list_display = ["round", "index", "members", "state", "reason"]
    list_filter = ["state"]


@admin.register(models.SigningRequest)
class SigningRequestAdmin(ReadOnlyAdmin):
    list_display = ["id", "round", "kind"]
    exclude = ["body", "signature"]


@admin.register(models.Visit)
class VisitAdmin(ReadOnlyAdmin):
    list_display = ["job_id", "round", "rate", "epoch"]
    exclude = ["receipt"]


@admin.register(models.PayoutAddress)
class PayoutAddressAdmin(ReadOnlyAdmin):
    list_display = ["subscription_key"]
    exclude = ["address", "opening"]


@admin.register(models.Epoch)
class EpochAdmin(ReadOnlyAdmin):
    list_display = ["number", "state", "earned", "paid", "carried", "held_over"]


@admin.register(models.Balance)
class BalanceAdmin(ReadOnlyAdmin):
    list_display = ["pk", "owed", "paid"]


@admin.register(models.Unopened)
class UnopenedAdmin(ReadOnlyAdmin):
    list_display = ["subscription_key", "amount"]


@admin.register(models.JobTotal)
class JobTotalAdmin(ReadOnlyAdmin):
    list_display = ["job_id", "sequence", "visits", "final"]


@admin.register(models.Shares)
class SharesAdmin(ReadOnlyAdmin):
    list_display = ["job_id", "epoch", "visits"]
    exclude = ["sealed"]


@admin.register(models.Sale)
class SaleAdmin(ReadOnlyAdmin):
    list_display = ["id", "job_id", "amount", "epoch"]
