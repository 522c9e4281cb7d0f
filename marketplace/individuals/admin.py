"""Pairings and links in the admin: states and times only. No pseudonym, no mailbox key, no code is shown."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from marketplace.individuals import models


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(models.WalletLink)
class WalletLinkAdmin(ReadOnly):
    list_display = ("id", "status", "paired_at")
    list_filter = ("status",)
    fields = ("id", "status", "paired_at")


@admin.register(models.PairingCode)
class PairingCodeAdmin(ReadOnly):
    list_display = ("id", "status", "created_at", "expires_at")
    list_filter = ("status",)
    fields = ("id", "status", "created_at", "expires_at")


@admin.register(models.SubscriptionLink)
class SubscriptionLinkAdmin(ReadOnly):
    """Shows that links exist and how they stand, never whose subscription is which."""

    list_display = ("id", "status", "created_at", "ended_at", "ended_by")
    list_filter = ("status", "ended_by")
    fields = ("id", "status", "created_at", "subscribed_at", "ended_at", "ended_by", "permit_deleted_at")


@admin.register(models.NoticeMail)
class NoticeMailAdmin(ReadOnly):
    list_display = ("id", "kind", "status", "created_at")
    list_filter = ("kind", "status")
    fields = ("id", "kind", "status", "created_at")


@admin.register(models.NoticeChoice)
class NoticeChoiceAdmin(ReadOnly):
    list_display = ("id", "status", "created_at")
    list_filter = ("status",)
    fields = ("id", "status", "created_at")
