"""How allauth treats accounts here."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest

from marketplace.accounts.models import Account, Role


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def save_user(self, request: HttpRequest, user: Account, form: Any, commit: bool = True) -> Account:
        """Everybody starts as an individual and a data consumer; the other roles are asked for in the profile."""
        account: Account = super().save_user(request, user, form, commit)
        if commit:
            account.grant(Role.INDIVIDUAL, Role.CONSUMER)
        return account
