"""The REST API's schema: names of its operations, and the one form in which each of them refuses."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema

PROBLEM = {
    "type": "object",
    "description": "RFC 9457: why a request was refused.",
    "required": ["code", "status", "detail"],
    "properties": {
        "code": {"type": "string", "description": "for programs"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "for people; says what to do"},
        "fields": {
            "description": "What is wrong with which field of the body, where it is that.",
            "oneOf": [{"type": "object", "additionalProperties": {}}, {"type": "array", "items": {}}],
        },
    },
}
REFUSED = {
    "description": "Refused; `code` and `detail` say why.",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
METHODS = ("get", "put", "post", "patch", "delete")


class NamedSchema(AutoSchema):
    """As the library's, but a list and one of its entries get names of their own: our views are plain, so it cannot tell them apart."""

    def get_operation_id(self) -> str:
        name = super().get_operation_id()
        many = self.method == "GET" and not self.path.rstrip("/").endswith("}")
        return f"{name.removesuffix('_retrieve')}_read" if many and name.endswith("_retrieve") else name


def with_problems(result: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Every operation may refuse, and does so as `application/problem+json` (`marketplace.problems`)."""
    result["components"]["schemas"]["Problem"] = PROBLEM
    for operations in result["paths"].values():
        for method in METHODS:
            if method in operations:
                operations[method]["responses"]["4XX"] = REFUSED
    return result
