"""Read-only: what an issuer said is changed by revoking it, never by hand. Keys and values are not shown."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from attestation.desk import models


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(models.Issuer)
class IssuerAdmin(ReadOnly):
    list_display = ["name", "did", "created_at"]
    exclude = ["sealed_key", "sealed_definition", "definition"]


@admin.register(models.Registry)
class RegistryAdmin(ReadOnly):
    list_display = ["issuer", "number"]
    exclude = ["sealed_private", "tails", "token"]


@admin.register(models.Credential)
class CredentialAdmin(ReadOnly):
    list_display = ["id", "issuer", "status", "created_at", "expires_at"]
    list_filter = ["status"]
    exclude = ["sealed_offer", "code_hash", "holder_hash", "label"]
