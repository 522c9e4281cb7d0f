"""What several requests of the REST API have in common: amounts, and bodies in which nothing is overlooked."""

from __future__ import annotations

from typing import Any, ClassVar

from rest_framework import serializers
from rest_framework.fields import empty


class BaseUnits(serializers.RegexField):
    """An amount, 1 or more, as a decimal string; an integer to the program."""

    def __init__(self, **options: Any) -> None:
        super().__init__(r"^[1-9][0-9]{0,37}$", **options)

    def run_validation(self, data: Any = empty) -> int:
        return int(super().run_validation(data))


class Strict(serializers.Serializer[Any]):
    """A body in which an unknown name is refused, not left out: what it says is signed or decides how a job trains."""

    nothing_such: ClassVar[str]

    def to_internal_value(self, data: Any) -> Any:
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, dict) else []
        if unknown:
            raise serializers.ValidationError({name: [self.nothing_such] for name in unknown})
        return super().to_internal_value(data)
