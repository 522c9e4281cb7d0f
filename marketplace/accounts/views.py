"""The account page: e-mail, roles, ways to sign in, language."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from marketplace.accounts import erasing, own_data, services
from marketplace.accounts.forms import DeleteForm, RolesForm
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


@login_required
@never_cache
@require_safe
def export(request: HttpRequest) -> HttpResponse:
    """Everything this site keeps about the person, as a file."""
    answer = JsonResponse(
        own_data.export(request.user), json_dumps_params={"indent": 2, "ensure_ascii": False}
    )  # type: ignore[arg-type]
    answer["Content-Disposition"] = 'attachment; filename="my-account.json"'
    return answer


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def delete(request: HttpRequest) -> HttpResponse:
    """Says what goes and what stays; one form, no further question."""
    obstacles = erasing.obstacles(request.user)  # type: ignore[arg-type]
    form = DeleteForm(request.POST if request.method == "POST" else None, account=request.user)
    if request.method == "POST" and not obstacles and form.is_valid():
        account = request.user
        erasing.erase(account=account)  # type: ignore[arg-type]
        logout(request)
        messages.success(
            request, _("Your account is deleted. Permits in your wallet stay until you revoke them there.")
        )
        return redirect("home")
    context = {"form": form, "obstacles": obstacles}
    return render(request, "accounts/delete.html", context, status=422 if request.method == "POST" else 200)
