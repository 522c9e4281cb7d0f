"""Numbers that people type or import: what cannot be used is said in a sentence, with the number given and the limit."""

from __future__ import annotations

import json
import math
from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as lazy

from collectives.terms.canonical import check_depth
from collectives.terms.errors import TermsError
from collectives.words import told

LARGEST = 10**15
SHOWN_DIGITS = 24


def shown(text: Any) -> str:
    """What somebody typed, short enough for a sentence."""
    plain = str(text).strip()
    return plain if len(plain) <= SHOWN_DIGITS else plain[: SHOWN_DIGITS - 1] + "…"


class NumberField(forms.FloatField):
    """A number within ±10^15. NaN, Infinity and 1e400 are refused by name."""

    def to_python(self, value: Any) -> float | None:
        text = str(value or "").strip().lower().lstrip("+-")
        try:
            number = float(text) if text else None
        except ValueError:
            number = None
        if number is not None and not math.isfinite(number):
            raise forms.ValidationError(_not_usable(value), code="invalid")
        return super().to_python(value)

    def validate(self, value: Any) -> None:
        super().validate(value)
        if value is not None and abs(value) > LARGEST:
            words = _("%(given)s is too large: numbers here lie within ±1,000,000,000,000,000.")
            raise forms.ValidationError(words % {"given": shown(f"{value:g}")}, code="too_large")

    def __init__(self, **options: Any) -> None:
        options["error_messages"] = {
            "invalid": lazy("Write a number such as 12 or 0.5, with a point and without a unit."),
            **options.get("error_messages", {}),
        }
        super().__init__(**options)


class WholeField(forms.IntegerField):
    """A whole number; what lies outside its limits is said with both."""

    def __init__(self, **options: Any) -> None:
        options["error_messages"] = {
            "invalid": lazy("Write a whole number such as 38."),
            "min_value": lazy("At least %(limit_value)s; you wrote %(show_value)s."),
            "max_value": lazy("At most %(limit_value)s; you wrote %(show_value)s."),
            **options.get("error_messages", {}),
        }
        super().__init__(**options)


def _not_usable(given: Any) -> str:
    return _(
        "%(given)s is no number that can be used. Write an ordinary one, such as 12 or 0.5; the largest is "
        "1,000,000,000,000,000."
    ) % {"given": shown(given)}


def parse_object(text: str, what: str) -> dict[str, Any]:
    """A JSON object from text a person pasted or a file they chose.

    Raises:
        forms.ValidationError: which line is no JSON, or which number or name cannot be used.
    """
    try:
        check_depth(text)
        value = json.loads(
            text, parse_constant=_refuse, parse_float=_float, parse_int=_int, object_pairs_hook=_unique
        )
    except TermsError as error:
        raise forms.ValidationError(told(error)) from error
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        raise forms.ValidationError(
            _("%(what)s is not JSON: look at line %(line)s. Paste the whole object, from { to }.")
            % {"what": what, "line": line}
        ) from error
    if not isinstance(value, dict):
        raise forms.ValidationError(_("%(what)s must be a JSON object, from { to }.") % {"what": what})
    return value


def _refuse(text: str) -> Any:
    raise forms.ValidationError(_not_usable(text))


def _float(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _int(text: str) -> int:
    return int(text) if len(text) <= SHOWN_DIGITS else _refuse(text)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _value in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise forms.ValidationError(
            _("“%(name)s” stands twice in the same object. Take one away.") % {"name": shown(twice)}
        )
    return found
