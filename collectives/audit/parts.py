"""What one part of an audit says: figures, the limits they are held to, and a score.

A figure has a value, and where it decides something a limit and the value that an attack by guessing has. Its score is 100 at
guessing or below, 50 at the limit, 0 twice as far away. A part's score is its worst figure's; it holds while every figure does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Figure:
    """`limit` None: told, not judged. Values are kept within ±10⁶, infinities too: a report is JSON."""

    name: str
    value: float
    limit: float | None = None
    guess: float = 0.0

    @property
    def holds(self) -> bool:
        return self.limit is None or self.value <= self.limit

    @property
    def score(self) -> float:
        if self.limit is None:
            return 100.0
        room = self.limit - self.guess
        if room <= 0:
            return 100.0 if self.holds else 0.0
        return max(0.0, min(100.0, 100.0 - 50.0 * (self.value - self.guess) / room))

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": rounded(self.value),
            "limit": None if self.limit is None else rounded(self.limit),
            "holds": self.holds,
        }


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A plot: `series` are (name, values), each as long as `labels`."""

    title: str
    x_label: str
    labels: tuple[float, ...]
    series: tuple[tuple[str, tuple[float, ...]], ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "x_label": self.x_label,
            "labels": [rounded(value) for value in self.labels],
            "series": [
                {"name": name, "values": [rounded(value) for value in values]} for name, values in self.series
            ],
        }


@dataclass(frozen=True, kw_only=True)
class Part:
    """`sentence`: what was done and what came of it, for people. `seconds`: processor time."""

    name: str
    title: str
    sentence: str
    figures: Sequence[Figure] = ()
    curves: Sequence[Curve] = ()
    problems: Sequence[str] = field(default=())
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        return not self.problems and all(figure.holds for figure in self.figures)

    @property
    def judged(self) -> bool:
        return bool(self.problems) or any(figure.limit is not None for figure in self.figures)

    @property
    def score(self) -> int:
        if self.problems:
            return 0
        return round(min((figure.score for figure in self.figures), default=100.0))

    def why(self) -> list[str]:
        """What does not hold, as sentences."""
        broken = [f"{f.name} is {f.value:.3g}, above {f.limit:.3g}" for f in self.figures if not f.holds]
        return [*self.problems, *broken]

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "sentence": self.sentence,
            "holds": self.holds,
            "judged": self.judged,
            "score": self.score,
            "why": self.why(),
            "figures": [figure.to_json() for figure in self.figures],
            "curves": [curve.to_json() for curve in self.curves],
        }


def rounded(value: float) -> float:
    """Four digits that count, finite."""
    if math.isnan(value):
        return 1e6
    kept = max(-1e6, min(1e6, float(value)))
    return float(f"{kept:.4g}")
