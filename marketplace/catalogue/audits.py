"""The report of a privacy audit, as a page and as a file."""

from __future__ import annotations

import json

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from collectives.audit_words import told
from collectives.models import Algorithm, Audit
from collectives.selectors import audits


@require_safe
def report(request: HttpRequest, manifest_hash: str) -> HttpResponse:
    algorithm, found = _found(request, manifest_hash)
    context = {"algorithm": algorithm, "audit": found, "report": told(found.report)}
    return render(request, "catalogue/audit.html", context)


@require_safe
def report_file(request: HttpRequest, manifest_hash: str) -> HttpResponse:
    """The document whose hash stands in it, over its canonical form without that line."""
    _, found = _found(request, manifest_hash)
    text = json.dumps(found.report, indent=1, ensure_ascii=False)
    name = f"privacy-audit-{manifest_hash[:12]}.json"
    return HttpResponse(
        f"{text}\n",
        content_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _found(request: HttpRequest, manifest_hash: str) -> tuple[Algorithm, Audit]:
    found = audits.report(manifest_hash, request.user)
    if found is None:
        raise Http404
    return found
