"""Names of the REST API's operations in its schema."""

from __future__ import annotations

from drf_spectacular.openapi import AutoSchema


class NamedSchema(AutoSchema):
    """As the library's, but a list and one of its entries get names of their own: our views are plain, so it cannot tell them apart."""

    def get_operation_id(self) -> str:
        name = super().get_operation_id()
        many = self.method == "GET" and not self.path.rstrip("/").endswith("}")
        return f"{name.removesuffix('_retrieve')}_read" if many and name.endswith("_retrieve") else name
