"""How the REST API reads a body: JSON of a bounded size and depth, checked before a parser that recurses sees it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from rest_framework import exceptions, status
from rest_framework.parsers import JSONParser

from collectives.terms.canonical import check_depth
from collectives.terms.errors import TermsError
from collectives.words import told


class TooDeep(exceptions.ParseError):
    default_code = "too_deep"


class TooLarge(exceptions.APIException):
    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"

    def __init__(self) -> None:
        super().__init__(f"The body is larger than {settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 1024} KiB.")


class BoundedJSONParser(JSONParser):
    """Raises:
    TooLarge: beyond `DATA_UPLOAD_MAX_MEMORY_SIZE`, which Django itself does not apply to a body that is read as a stream.
    TooDeep: lists and objects more than `MAX_DEPTH` inside each other.
    """

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(most + 1)
        if len(body) > most:
            raise TooLarge
        try:
            check_depth(body)
        except TermsError as error:
            raise TooDeep(told(error)) from error
        return super().parse(io.BytesIO(body), media_type, parser_context)
