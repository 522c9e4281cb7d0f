"""Who may open a page. Views of every app use these; the role is named in the refusal."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

View = Callable[..., HttpResponse]


def needs_role(role: str) -> Callable[[View], View]:
    """Signed in and holding the role; else the log-in page, or a refusal that says which role to take."""

    def wrap(view: View) -> View:
        @login_required
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.has_role(role):  # type: ignore[union-attr]
                raise PermissionDenied(
                    _("This page is for the role “%(role)s”. You can take it on your account page.")
                    % {"role": _role_name(role)}
                )
            return view(request, *args, **kwargs)

        return checked

    return wrap


def _role_name(role: str) -> str:
    from marketplace.accounts.models import Role

    return str(Role(role).label)
