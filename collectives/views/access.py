"""Who may open a page here. Knows roles by their word only: this domain imports nothing of the market."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from collectives import selectors
from collectives.models import Collective

View = Callable[..., HttpResponse]
NAMES = {"owner": lazy("collective owner"), "author": lazy("algorithm author")}


def needs_role(role: str) -> Callable[[View], View]:
    """Signed in and holding the role; else the log-in page, or a refusal that says which role to take."""

    def wrap(view: View) -> View:
        @login_required
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.has_role(role):  # type: ignore[union-attr]
                raise PermissionDenied(
                    _("This page is for the role “%(role)s”. You can take it on your account page.")
                    % {"role": NAMES[role]}
                )
            return view(request, *args, **kwargs)

        return checked

    return wrap


def own_collective(request: HttpRequest, collective_id: uuid.UUID) -> Collective:
    """The signed-in owner's collective; a stranger learns nothing, not even that it exists."""
    found = selectors.owned(request.user, collective_id)
    if found is None:
        raise Http404
    return found
