"""The account page: e-mail, roles, ways to sign in, language."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from marketplace.accounts import services
from marketplace.accounts.forms import RolesForm
from marketplace.accounts.models import Role


@login_required
@require_http_methods(["GET", "POST"])
def account(request: HttpRequest) -> HttpResponse:
    held = [grant.role for grant in request.user.roles.all()]  # type: ignore[union-attr]
    form = RolesForm(request.POST if request.method == "POST" else None, initial={"roles": held})
    if request.method == "POST" and form.is_valid():
        services.set_roles(
            actor=request.user,  # type: ignore[arg-type]
            roles=[Role(role) for role in form.cleaned_data["roles"]],
        )
        messages.success(request, _("Your roles are saved."))
        return redirect("account")
    status = 422 if form.errors else 200
    return render(request, "accounts/account.html", {"form": form}, status=status)
