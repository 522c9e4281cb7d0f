"""History, read-only: nothing here is changed by hand, and no secret column is shown."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from wallets.distributor import models


class ReadOnlyAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(models.Presence)
class PresenceAdmin(ReadOnlyAdmin):
    list_display = ["key", "connected", "last_seen"]


@admin.register(models.Mailbox)
class MailboxAdmin(ReadOnlyAdmin):
    list_display = ["key", "created"]


@admin.register(models.Mail)
class MailAdmin(ReadOnlyAdmin):
    list_display = ["id", "kind", "state", "created", "expires"]
    list_filter = ["kind", "state"]


@admin.register(models.Subscriber)
class SubscriberAdmin(ReadOnlyAdmin):
    list_display = ["key", "collective_id", "state", "expires"]
    list_filter = ["state"]


@admin.register(models.Notice)
class NoticeAdmin(ReadOnlyAdmin):
    list_display = ["collective_id", "ref", "addressed"]


@admin.register(models.Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ["id", "collective_id", "state", "log_size", "members_told"]
    list_filter = ["state"]
    exclude = ["cohort_key"]


@admin.register(models.Enrolment)
class EnrolmentAdmin(ReadOnlyAdmin):
    list_display = ["job", "index", "state", "times_drawn"]
    list_filter = ["state"]
    exclude = ["ident", "body"]


@admin.register(models.Payload)
class PayloadAdmin(ReadOnlyAdmin):
    list_display = ["digest", "created"]
    exclude = ["body"]


@admin.register(models.Round)
class RoundAdmin(ReadOnlyAdmin):
    list_display = ["job", "number", "state", "cohort", "minimum", "wanted", "accept_until"]
    list_filter = ["state"]
    exclude = ["payload_token", "task_body", "task_signature", "header"]


@admin.register(models.Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    list_display = ["round", "state"]
    list_filter = ["state"]
    exclude = ["ident", "ticket"]


@admin.register(models.Signed)
class SignedAdmin(ReadOnlyAdmin):
    list_display = ["job_id", "round", "kind", "digest", "created"]
    exclude = ["signature"]
