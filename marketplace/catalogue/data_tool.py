"""The download of a collective's data creation tool: the fixed template with this collective's requirement in it."""

from __future__ import annotations

import uuid

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from collectives import selectors
from collectives.datatool import page


@require_safe
def data_tool(request: HttpRequest, collective_id: uuid.UUID) -> HttpResponse:
    """Always an attachment: the page belongs on the person's own disk, not on our address."""
    card = selectors.card(collective_id)
    if card is None:
        raise Http404
    answer = HttpResponse(
        page.render(card.terms.document["requirement"]), content_type="text/html; charset=utf-8"
    )
    answer["Content-Disposition"] = f'attachment; filename="data-tool-{str(collective_id)[:8]}.html"'
    return answer
