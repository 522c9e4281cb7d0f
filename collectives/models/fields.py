"""Column types that several tables share."""

from __future__ import annotations

from typing import Any

from django.db import models


def amount(**options: Any) -> models.DecimalField[Any, Any]:
    """Base units: whole numbers up to 38 digits, never fractions."""
    return models.DecimalField(max_digits=38, decimal_places=0, **options)


def hex32(**options: Any) -> models.CharField[Any, Any]:
    """32 bytes as lower-case hex."""
    return models.CharField(max_length=64, **options)
