"""Lists of the REST API in pages: every list answers `next`, `previous` and `results`, and `next` leads on until it is null."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.pagination import CursorPagination, LimitOffsetPagination
from rest_framework.request import Request
from rest_framework.response import Response

MOST = 100
USUAL = 50
LIMIT = OpenApiParameter(
    "limit", int, description=f"Entries on a page, 1 to {MOST}; {USUAL} where it is left out."
)
FROM = {
    "cursor": OpenApiParameter(
        "cursor", str, description="Where the page begins; taken from `next` or `previous`."
    ),
    "offset": OpenApiParameter("offset", int, description="How many entries come before the page."),
}


class RowPages(CursorPagination):
    """Pages of database rows: a row that is added while somebody reads on shifts none of the others."""

    page_size, max_page_size, page_size_query_param = USUAL, MOST, "limit"

    def __init__(self, ordering: Sequence[str]) -> None:
        self.ordering = tuple(ordering)


class ListPages(LimitOffsetPagination):
    """Pages of a list that is put in order in memory; they answer as those of rows do, without a count."""

    default_limit, max_limit = USUAL, MOST

    def get_paginated_response(self, data: list[Any]) -> Response:
        return Response({"next": self.get_next_link(), "previous": self.get_previous_link(), "results": data})


def paged(
    request: Request,
    rows: QuerySet[Any] | Sequence[Any],
    shape: Callable[[Any], dict[str, Any]] | None = None,
    *,
    ordering: Sequence[str] = ("-created_at", "-pk"),
    shapes: Callable[[list[Any]], list[dict[str, Any]]] | None = None,
) -> Response:
    """One page of `rows`: a query set is put into `ordering`, any other sequence stays as it is.

    `shape` makes an entry of a row; `shapes` of a whole page at once, where that saves queries.

    Raises:
        NotFound: a cursor that is none of ours.
    """
    pages: RowPages | ListPages
    if isinstance(rows, QuerySet):
        pages = RowPages(ordering)
        found = pages.paginate_queryset(rows, request)
    else:
        pages = ListPages()
        found = pages.paginate_queryset(rows, request)
    page = list(found or ())
    return pages.get_paginated_response(
        shapes(page) if shapes else [shape(row) for row in page] if shape else page
    )


@cache  # one page of one name in the schema, wherever it is answered
def page_of(entry: type[serializers.Serializer[Any]]) -> Any:
    """The schema of a page of such entries."""
    return inline_serializer(
        f"{entry.__name__.removesuffix('Out')}Page",
        {
            "next": serializers.URLField(allow_null=True, help_text="the next page; null on the last one"),
            "previous": serializers.URLField(allow_null=True),
            "results": entry(many=True),
        },
    )


def list_schema(entry: type[serializers.Serializer[Any]], *, by: str = "cursor", **options: Any) -> Any:
    """`extend_schema` for a list in pages; `by` is "cursor" for rows and "offset" for a list in memory."""
    parameters = [*options.pop("parameters", ()), LIMIT, FROM[by]]
    return extend_schema(responses=page_of(entry), parameters=parameters, **options)
