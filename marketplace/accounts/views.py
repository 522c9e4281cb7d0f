"""The account page: e-mail, roles, ways to sign in, language."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.i18n import set_language

from marketplace.accounts import erasing, own_data, services, tokens
from marketplace.accounts.forms import DeleteForm, RolesForm, TokenForm
from marketplace.accounts.models import Account, Role


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


@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Pages are in this language from now on, and so are the letters of who is signed in."""
    chosen = request.POST.get("language", "")
    if isinstance(request.user, Account) and chosen in dict(settings.LANGUAGES):
        services.set_language(actor=request.user, language=chosen)
    return set_language(request)


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


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def api_tokens(request: HttpRequest) -> HttpResponse:
    """Tokens for programs; a fresh one is shown once, on this answer alone."""
    form = TokenForm(request.POST if request.method == "POST" else None)
    fresh = ""
    if request.method == "POST" and form.is_valid():
        try:
            _made, fresh = tokens.make(account=request.user, label=form.cleaned_data["label"])  # type: ignore[arg-type]
            form = TokenForm()
        except tokens.TooMany:
            form.add_error(None, _("You hold %(most)s tokens; delete one first.") % {"most": tokens.MOST})
    context = {"form": form, "fresh": fresh, "tokens": request.user.api_tokens.all()}  # type: ignore[union-attr]
    return render(request, "accounts/tokens.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def token_delete(request: HttpRequest, token_id: uuid.UUID) -> HttpResponse:
    if not tokens.revoke(account=request.user, token_id=token_id):  # type: ignore[arg-type]
        raise Http404
    messages.success(request, _("The token works no more."))
    return redirect("api-tokens")
