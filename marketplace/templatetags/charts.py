"""Charts drawn by the server as SVG, so that they are there without scripts; the numbers stand in a table beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from django import template

register = template.Library()
WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 34
GRID = 5


@register.inclusion_tag("components/chart.html")
def line_chart(chart: Mapping[str, Any], title: str, x_label: str) -> dict[str, Any]:
    """`chart` is {labels: [number], series: [{name, values: [number or None]}]}; two series are told apart, more repeat."""
    labels: Sequence[float] = chart.get("labels") or ()
    series = chart.get("series") or ()
    values = [value for line in series for value in line["values"] if value is not None]
    if not values:
        return {"title": title, "empty": True}
    ticks = nice_ticks(min(values), max(values))
    low, high = ticks[0], ticks[-1]
    first, last = min(labels), max(labels)

    def x(label: float) -> float:
        share = (label - first) / (last - first) if last > first else 0.5
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    lines = []
    for index, line in enumerate(series):
        points = [(x(label), y(v)) for label, v in zip(labels, line["values"], strict=True) if v is not None]
        lines.append(
            {
                "name": line["name"],
                "kind": "ab"[index % 2],
                "points": " ".join(f"{px:g},{py:g}" for px, py in points),
                "last": points[-1] if points else None,
            }
        )
    return {
        "title": title,
        "x_label": x_label,
        "lines": lines,
        "y_ticks": [{"y": y(value), "text": f"{value:g}"} for value in ticks],
        "x_ticks": [{"x": x(label), "text": label} for label in _some(labels)],
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "bottom": HEIGHT - BOTTOM,
        "width": WIDTH,
        "height": HEIGHT,
        "rows": [
            {"label": label, "values": [line["values"][i] for line in series]}
            for i, label in enumerate(labels)
        ],
    }


def nice_ticks(low: float, high: float) -> list[float]:
    """Round numbers that hold the values, about `GRID` steps of 1, 2 or 5 times a power of ten."""
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / GRID
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 10) for n in range(first, last + 1)]


def _some(labels: Sequence[float], most: int = 8) -> list[float]:
    """At most this many labels, evenly taken, the last one among them."""
    step = max(1, -(-len(labels) // most))
    return sorted({*labels[::step], labels[-1]}) if len(labels) <= most else list(labels[::step])
