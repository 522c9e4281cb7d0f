"""Tokens for programs: `Authorization: Bearer cssi_…`. Only a hash is kept; the token itself is shown once.

A token is 32 random bytes, so a plain SHA-256 is enough: there is nothing to guess from the hash.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import timedelta
from typing import Any

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from marketplace.accounts.models import Account, ApiToken

PREFIX = "cssi_"
MOST = 20
FRESH = timedelta(minutes=1)
"""`last_used_at` is as exact as this, so that a program that asks often does not write often."""


class TooMany(Exception):
    """An account holds at most `MOST` tokens; one must be deleted first."""


def make(*, account: Account, label: str) -> tuple[ApiToken, str]:
    """A fresh token and its text, which nobody can show again.

    Raises:
        TooMany: the account holds `MOST` tokens.
    """
    if account.api_tokens.count() >= MOST:
        raise TooMany
    text = PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    return ApiToken.objects.create(account=account, label=label.strip()[:60], digest=_digest(text)), text


def revoke(*, account: Account, token_id: Any) -> bool:
    """Whether there was such a token of this account; it works no more."""
    deleted, _ = ApiToken.objects.filter(account=account, pk=token_id).delete()
    return bool(deleted)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class TokenAuthentication(BaseAuthentication):
    """Raises `AuthenticationFailed` for a token that is malformed, unknown or revoked; never says which."""

    def authenticate(self, request: Request) -> tuple[Account, ApiToken] | None:
        scheme, _, text = get_authorization_header(request).decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        found = (
            ApiToken.objects.select_related("account")
            .filter(digest=_digest(text.strip()), account__is_active=True)
            .first()
        )
        if found is None:
            raise exceptions.AuthenticationFailed(
                "This token does not work. Make a new one on your account page."
            )
        now = timezone.now()
        ApiToken.objects.filter(pk=found.pk).exclude(last_used_at__gt=now - FRESH).update(last_used_at=now)
        return found.account, found

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}
