"""How allauth treats accounts here."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
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


SITE_NAME = "Compute-to-SSI"


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def format_email_subject(self, subject: str) -> str:
        return f"[{SITE_NAME}] {subject}"

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Letters name the project and lead to its public address (`SITE_URL`), whatever address the request came by."""
        links = {name: _public(url) for name, url in context.items() if name.endswith("_url")}
        super().send_mail(template_prefix, email, {**context, **links, "current_site": _site()})

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


def _site() -> dict[str, str]:
    """This site for allauth's letters, which ask for a name and a domain."""
    return {"name": SITE_NAME, "domain": urlsplit(settings.SITE_URL).netloc}


def _public(url: Any) -> Any:
    parts = urlsplit(url) if isinstance(url, str) else None
    if parts is None or not parts.netloc:
        return url
    query = f"?{parts.query}" if parts.query else ""
    return f"{settings.SITE_URL.rstrip('/')}{parts.path}{query}"
