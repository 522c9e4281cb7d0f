"""How allauth treats accounts here."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest
from django.urls import reverse

from marketplace.accounts.models import Account, Role

START_PAGES = {
    Role.OWNER: "console",
    Role.AUTHOR: "algorithms",
    Role.CONSUMER: "jobs",
    Role.INDIVIDUAL: "wallet",
}
"""Where somebody with this role alone begins after signing in."""


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def get_login_redirect_url(self, request: HttpRequest) -> str:
        """The page of somebody's only role; who holds several begins at the start page and chooses."""
        roles = {grant.role for grant in request.user.roles.all()}
        pages = [page for role, page in START_PAGES.items() if role in roles]
        return reverse(pages[0] if len(pages) == 1 else "home")

    def save_user(self, request: HttpRequest, user: Account, form: Any, commit: bool = True) -> Account:
        """Everybody starts as an individual and a data consumer; the other roles are asked for in the profile."""
        account: Account = super().save_user(request, user, form, commit)
        if commit:
            account.grant(Role.INDIVIDUAL, Role.CONSUMER)
        return account
