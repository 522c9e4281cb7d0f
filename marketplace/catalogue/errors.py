"""The pages for what went wrong. They say what to do, and nothing about the inside."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template import loader
from django.utils.translation import gettext as _


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _page(request, 400, "bad_request")


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    # A refusal raised with a sentence of ours shows that sentence.
    sentence = str(exception) if exception and str(exception) else ""
    return _page(request, 403, "forbidden", sentence=sentence)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    sentence = _(
        "This form was too old or came from another site. Go back, reload the page and send it again."
    )
    return _page(request, 403, "csrf", sentence=sentence)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _page(request, 404, "not_found")


def server_error(request: HttpRequest) -> HttpResponse:
    # Nothing that could fail again: no context processors, no database.
    if _wants_json(request):
        return _problem(500, "server_error")
    return HttpResponse(loader.get_template("500.html").template.render(_empty()), status=500)


def _page(request: HttpRequest, status: int, code: str, **context: Any) -> HttpResponse:
    if _wants_json(request):
        return _problem(status, code, context.get("sentence", ""))
    return render(request, f"{status}.html", context, status=status)


def _wants_json(request: HttpRequest) -> bool:
    # A process without the web role has no pages: whoever asks there is a program.
    return request.path.startswith(("/api/", "/internal/")) or "web" not in settings.ROLES


def _problem(status: int, code: str, sentence: str = "") -> JsonResponse:
    words = {
        400: _("The request cannot be read. See the schema at /api/schema/."),
        403: _("You may not do this."),
        404: _("There is nothing at this address."),
        500: _("Something failed here. Try again later."),
    }
    body = {"code": code, "status": status, "detail": sentence or words[status]}
    return JsonResponse(body, status=status, content_type="application/problem+json")


def _empty() -> Any:
    from django.template import Context

    return Context({})
