"""An example of a record for pages: as JSON, and in words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from collectives.example_record import example, label

register = template.Library()


@dataclass(frozen=True, kw_only=True)
class Line:
    """One field of the example, in words."""

    label: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Example:
    lines: tuple[Line, ...]
    text: str


@register.filter
def example_record(requirement: Mapping[str, Any]) -> Example | None:
    """An invented record that meets the requirement; None where no short one exists."""
    record = example(requirement)
    if record is None:
        return None
    fields = requirement["properties"]
    return Example(
        lines=tuple(
            Line(label=label(name, fields[name]), text=_words(value, fields[name]))
            for name, value in record.items()
        ),
        text=json.dumps(record, indent=2, ensure_ascii=False),
    )


def _words(value: Any, spec: Mapping[str, Any], *, inside: bool = False) -> str:
    """`inside` an entry with parts, whose parts are kept apart by commas already."""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, int | float):
        return str(number_format(value, use_l10n=True, force_grouping=True))
    if isinstance(value, list):
        nested = spec["items"]["type"] in ("object", "array")
        between = "; " if nested else _(" and ") if inside else ", "
        return between.join(_words(item, spec["items"]) for item in value) or _("an empty list")
    if isinstance(value, dict):
        parts = spec["properties"]
        return ", ".join(
            f"{label(name, parts[name])}: {_words(part, parts[name], inside=True)}"
            for name, part in value.items()
        )
    return str(value)
