"""The administrator's view: review algorithms, suspend with a reason; history is read-only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest

from collectives import models
from collectives.errors import CollectiveError
from collectives.selectors import audits as selectors_of_audits
from collectives.services import algorithms, audits, collectives, jobs, rounds


class ReasonForm(ActionForm):
    """An action's form with the reason that actions here must give."""

    reason = forms.CharField(required=False, max_length=300, label="Reason")


def each(
    page: admin.ModelAdmin[Any],
    request: HttpRequest,
    rows: Iterable[Any],
    done: str,
    work: Callable[[Any], object],
) -> None:
    """Do it for every row chosen, and say of each what became of it."""
    for row in rows:
        try:
            work(row)
        except CollectiveError as error:
            page.message_user(request, f"{row}: {error}", messages.ERROR)
        else:
            page.message_user(request, f"{row} {done}.", messages.SUCCESS)


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that are history: to be read, never added, changed or deleted by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(models.Collective)
class CollectiveAdmin(ReadOnly):
    list_display = ["name", "status", "status_reason", "created_at"]
    list_filter = ["status"]
    exclude = ["sealed_key"]
    actions = ["suspend", "reinstate"]
    action_form = ReasonForm

    @admin.action(description="Suspend (the reason is shown to everybody)")
    def suspend(self, request: HttpRequest, queryset: QuerySet[models.Collective]) -> None:
        reason = request.POST.get("reason", "")
        each(
            self,
            request,
            queryset,
            "is suspended; nothing new begins, and its jobs stop after their round",
            lambda one: collectives.suspend(actor=request.user, collective=one, reason=reason),
        )

    @admin.action(description="Reinstate")
    def reinstate(self, request: HttpRequest, queryset: QuerySet[models.Collective]) -> None:
        each(
            self,
            request,
            queryset,
            "is open again",
            lambda one: collectives.reinstate(actor=request.user, collective=one),
        )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Actions need it; every field stays read-only.
        return bool(request.user.is_staff)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [field.name for field in models.Collective._meta.fields if field.name != "sealed_key"]


@admin.register(models.Algorithm)
class AlgorithmAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The review queue; `templates/admin/collectives/algorithm` says what to look at."""

    list_display = ["name", "status", "privacy_audit", "parameters", "manifest_hash", "created_at"]
    list_filter = ["status"]
    readonly_fields = [
        "author",
        "name",
        "manifest",
        "manifest_hash",
        "parameters",
        "checks",
        "status",
        "reviewed_at",
    ]
    actions = ["approve", "return_to_author", "run_audit"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[models.Algorithm]:
        return super().get_queryset(request).prefetch_related(selectors_of_audits.reports_left_out())

    @admin.display(description="privacy audit")
    def privacy_audit(self, row: models.Algorithm) -> str:
        return selectors_of_audits.words(row)

    @admin.action(description="Run the privacy audit (again)")
    def run_audit(self, request: HttpRequest, queryset: QuerySet[models.Algorithm]) -> None:
        each(self, request, queryset, "is waiting to be audited", audits.request)

    @admin.action(description="Approve for notice")
    def approve(self, request: HttpRequest, queryset: QuerySet[models.Algorithm]) -> None:
        each(
            self,
            request,
            queryset,
            "is approved: collectives may announce it",
            lambda one: algorithms.approve(actor=request.user, algorithm=one),
        )
        for row in queryset.filter(status=models.Algorithm.Status.APPROVED):
            if row.audit is None:
                self.message_user(request, f"{row} is approved without a privacy audit.", messages.WARNING)

    @admin.action(description="Return with the reason written in the algorithm's form")
    def return_to_author(self, request: HttpRequest, queryset: QuerySet[models.Algorithm]) -> None:
        each(
            self,
            request,
            queryset,
            "goes back to its author",
            lambda one: algorithms.return_(actor=request.user, algorithm=one, reason=one.reason),
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(models.Audit)
class AuditAdmin(ReadOnly):
    list_display = ["algorithm", "status", "score", "doing", "requested_at", "finished_at"]
    list_filter = ["status"]


@admin.register(models.TermsVersion)
class TermsVersionAdmin(ReadOnly):
    list_display = ["collective", "version", "hash", "created_at"]


@admin.register(models.Admission)
class AdmissionAdmin(ReadOnly):
    list_display = ["collective", "algorithm", "status", "announced_at", "effective_at"]
    list_filter = ["status"]


@admin.register(models.Subscription)
class SubscriptionAdmin(ReadOnly):
    list_display = ["collective", "terms", "status", "subscribed_at", "revoked_at", "revoked_by"]
    list_filter = ["status"]


@admin.register(models.PresenceStatement)
class PresenceStatementAdmin(ReadOnly):
    list_display = ["subscription", "made_at"]


@admin.register(models.NoticeAnswer)
class NoticeAnswerAdmin(ReadOnly):
    list_display = ["admission", "choice", "answered_at"]


@admin.register(models.Job)
class JobAdmin(ReadOnly):
    list_display = ["id", "collective", "status", "reason", "visits_earned", "visits_budget", "created_at"]
    list_filter = ["status"]
    actions = ["abort_round", "approve_order", "return_order"]
    action_form = ReasonForm

    @admin.action(description="Approve the order in the owner's place")
    def approve_order(self, request: HttpRequest, queryset: QuerySet[models.Job]) -> None:
        each(
            self,
            request,
            queryset,
            "can be funded now",
            lambda one: jobs.approve(actor=request.user, job_id=one.pk),
        )

    @admin.action(description="Return the order in the owner's place (the reason is shown to who ordered)")
    def return_order(self, request: HttpRequest, queryset: QuerySet[models.Job]) -> None:
        reason = request.POST.get("reason", "")
        each(
            self,
            request,
            queryset,
            "is returned to who ordered it",
            lambda one: jobs.return_(actor=request.user, job_id=one.pk, reason=reason),
        )

    @admin.action(description="End the running round (the reason is shown to who ordered the job)")
    def abort_round(self, request: HttpRequest, queryset: QuerySet[models.Job]) -> None:
        reason = request.POST.get("reason", "")
        each(
            self,
            request,
            queryset,
            "goes on without the round that was running",
            lambda one: rounds.abort(actor=request.user, job_id=one.pk, reason=reason),
        )

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Actions need it; every field stays read-only.
        return bool(request.user.is_staff)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [field.name for field in models.Job._meta.fields]


@admin.register(models.JobTransition)
class JobTransitionAdmin(ReadOnly):
    list_display = ["job", "before", "became", "reason", "at"]


@admin.register(models.Round)
class RoundAdmin(ReadOnly):
    list_display = ["job", "number", "status", "delivered", "receipts", "survivors", "reason"]
    list_filter = ["status"]


@admin.register(models.Checkpoint)
class CheckpointAdmin(ReadOnly):
    list_display = ["job", "number", "hash", "wallets", "created_at"]
    exclude = ["weights", "moments"]


@admin.register(models.OutgoingCall)
class OutgoingCallAdmin(ReadOnly):
    list_display = ["method", "path", "status", "attempts", "last_error", "not_before"]
    list_filter = ["status"]
