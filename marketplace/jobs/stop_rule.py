"""When a consumer wants a job to stop: a metric they report reached a value. Rounds and budget end it in any case."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _


@dataclass(frozen=True, kw_only=True)
class StopRule:
    """`at_least`: the higher the better, as with accuracy; else the lower the better, as with a loss."""

    metric: str
    value: float
    at_least: bool = True

    def met_by(self, name: str, value: float) -> bool:
        same = name.strip().lower() == self.metric.strip().lower()
        return same and (value >= self.value if self.at_least else value <= self.value)

    def __str__(self) -> str:
        words = (
            _("%(metric)s is at least %(value)s") if self.at_least else _("%(metric)s is at most %(value)s")
        )
        return words % {"metric": self.metric, "value": f"{self.value:g}"}
