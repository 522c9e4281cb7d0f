"""Money in a column: a decimal string of base units.

SQLite keeps large decimals as floats and loses digits past 2^53, so the column is text and the value an int.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models


class BaseUnitsField(models.CharField):
    """A non-negative integer of at most 38 digits."""

    description = "Base units of a token"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["max_length"] = 38
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["max_length"]
        return name, path, args, kwargs

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> int | None:
        return None if value is None else int(value)

    def to_python(self, value: Any) -> int | None:
        if value is None or isinstance(value, int):
            return value
        if isinstance(value, str) and value.isascii() and value.isdecimal():
            return int(value)
        raise ValidationError("Money is a decimal string of base units.", code="money")

    def get_prep_value(self, value: Any) -> str | None:
        number = self.to_python(value)
        if number is None:
            return None
        if isinstance(number, bool) or number < 0 or number >= 10**38:
            raise ValueError("money lies between 0 and 10^38 base units")
        return str(number)
