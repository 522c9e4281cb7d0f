"""History, read-only: nothing here is changed by hand, and no message, ticket, sum or address is shown.

Exclusions are decided here, with a reason that the wallet is told; not who is excluded, but whether that stands.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest

from aggregation.server import models
from aggregation.server.errors import AggregatorError
from aggregation.server.services import exclusions


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
    list_display = ["round", "index", "members", "state", "stood_out", "reason"]
    list_filter = ["state", "stood_out"]


@admin.register(models.Suspicion)
class SuspicionAdmin(ReadOnlyAdmin):
    """Evidence that is not enough for anything yet. Whose it is is of no use to an administrator."""

    list_display = ["pk", "collective_id", "visits", "hits"]
    exclude = ["subscription_key"]


class ReasonForm(ActionForm):
    reason = forms.CharField(required=False, max_length=500, label="Reason, told to the wallet's holder")


@admin.register(models.Exclusion)
class ExclusionAdmin(ReadOnlyAdmin):
    """Who is not asked any more and what they say to it. docs/tampering.md says how to read the numbers."""

    list_display = ["__str__", "collective_id", "hits", "visits", "one_in", "objects", "state"]
    list_filter = ["state", ("appealed_at", admin.EmptyFieldListFilter)]
    ordering = ["-at"]
    exclude = ["subscription_key", "letter", "revision", "handed"]
    actions = ["take_back", "uphold"]
    action_form = ReasonForm

    @admin.display(description="appeal")
    def objects(self, row: models.Exclusion) -> str:
        return row.appeal[:80]

    @admin.action(description="Take the exclusion back: the wallet is asked again")
    def take_back(self, request: HttpRequest, queryset: QuerySet[models.Exclusion]) -> None:
        self._decide(request, queryset, reinstate=True)

    @admin.action(description="Uphold the exclusion")
    def uphold(self, request: HttpRequest, queryset: QuerySet[models.Exclusion]) -> None:
        self._decide(request, queryset, reinstate=False)

    def _decide(self, request: HttpRequest, rows: QuerySet[models.Exclusion], *, reinstate: bool) -> None:
        # The account's number, not its name: no e-mail address lies in this domain.
        reason, by = request.POST.get("reason", ""), str(request.user.pk)
        for row in rows:
            try:
                exclusions.decide(exclusion_id=row.pk, reinstate=reinstate, reason=reason, by=by)
            except AggregatorError as error:
                self.message_user(request, f"{row}: {error}", messages.ERROR)
            else:
                done = "is asked again and told so" if reinstate else "stays excluded and is told why"
                self.message_user(request, f"The wallet of {row} {done}.", messages.SUCCESS)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Actions need it; every field stays read-only.
        return bool(request.user.is_staff)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [field.name for field in models.Exclusion._meta.fields if field.name not in self.exclude]


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
