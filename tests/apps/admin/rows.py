"""At least one row of every model of ours: what the cast made, and a plain row for the rest."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from itertools import count
from typing import Any

from django.apps import apps
from django.db import models

from aggregation.server.models.fields import BaseUnitsField
from collectives.models.fields import AmountField

_numbers = count(1)


def ours() -> list[type[models.Model]]:
    """Models of apps that belong to a trust domain, in an order in which a relation's target comes first."""
    return [
        model
        for config in apps.get_app_configs()
        if hasattr(config, "trust_domain")
        for model in config.get_models()
    ]


def fill() -> None:
    """A row for each model that has none."""
    for model in ours():
        one(model)


def one(model: type[models.Model]) -> models.Model:
    """The first row of a model, made if there is none."""
    found = model._base_manager.first()
    if found is not None:
        return found
    number = next(_numbers)
    values = {
        field.attname: _value(field, number) for field in model._meta.concrete_fields if _needs_a_value(field)
    }
    made = model(**values)
    made.save(force_insert=True)
    return made


def _needs_a_value(field: models.Field[Any, Any]) -> bool:
    if isinstance(field, models.BigAutoField | models.AutoField):
        return False
    return not (field.null or field.has_default() or field.blank or getattr(field, "auto_now_add", False))


def _value(field: models.Field[Any, Any], number: int) -> Any:
    if str(field) in _EXAMPLES:
        return _EXAMPLES[str(field)]
    if field.name.startswith(("expires", "ended", "effective")) and isinstance(field, models.DateTimeField):
        return datetime(2026, 2, 1, tzinfo=UTC)
    if isinstance(field, models.ForeignKey):
        return one(field.related_model).pk
    if field.choices:
        return field.choices[0][0]
    for kind, make in _MAKERS.items():
        if isinstance(field, kind):
            return make(number)
    text = f"{number:064x}"
    return text[-field.max_length :] if field.max_length else text


_EXAMPLES: dict[str, Any] = {"settlement.SettlementEpoch.statement": {"document": {"jobs": []}}}
"""Where not just any value of the type will do."""
_MAKERS: dict[type[models.Field[Any, Any]], Any] = {
    AmountField: lambda n: n,
    BaseUnitsField: lambda n: n,
    models.UUIDField: lambda n: uuid.UUID(int=n),
    models.BooleanField: lambda n: False,
    models.FloatField: lambda n: 0.5,
    models.DecimalField: lambda n: n,
    models.IntegerField: lambda n: n,
    models.DateTimeField: lambda n: datetime(2026, 1, 1, tzinfo=UTC),
    models.BinaryField: lambda n: bytes([n % 256] * 16),
    models.JSONField: lambda n: {},
}
