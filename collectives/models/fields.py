"""Column types that several tables share."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models

DIGITS = 39


class AmountField(models.Field):  # type: ignore[type-arg]
    """Money: a non-negative whole number of base units below 10^38, an `int` in Python.

    PostgreSQL keeps it as numeric(38, 0). SQLite has no exact type of that size (its decimals keep 15 digits), so there it is
    text of 39 digits with leading zeros: equality, order and CHECK constraints hold, arithmetic is done in Python under a lock.
    """

    description = "base units"

    def db_type(self, connection: Any) -> str:
        return f"varchar({DIGITS})" if connection.vendor == "sqlite" else "numeric(38, 0)"

    def get_internal_type(self) -> str:
        return "AmountField"

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        return value if value is None or hasattr(value, "resolve_expression") else self.to_python(value)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        value = value if prepared else self.get_prep_value(value)
        if isinstance(value, int) and connection.vendor == "sqlite":
            return f"{value:0{DIGITS}d}"
        return value

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> int | None:
        return None if value is None else int(value)

    def to_python(self, value: Any) -> int | None:
        if value is None:
            return None
        try:
            number = int(value)
        except (TypeError, ValueError) as error:
            raise ValidationError("An amount is a whole number of base units.") from error
        if number != value and not isinstance(value, str):
            raise ValidationError("An amount has no fraction of a base unit.")
        if not 0 <= number < 10**38:
            raise ValidationError("An amount is between 0 and 10^38 base units.")
        return number

    def value_to_string(self, obj: Any) -> str:
        return str(self.value_from_object(obj))

    def formfield(self, **options: Any) -> Any:
        return super().formfield(**{"form_class": forms.DecimalField, **options})


def amount(**options: Any) -> AmountField:
    """A column of base units."""
    return AmountField(**options)


def hex32(**options: Any) -> models.CharField[Any, Any]:
    """32 bytes as lower-case hex."""
    return models.CharField(max_length=64, **options)
