"""Charts drawn by the server as SVG, so that they are there without scripts; the numbers stand in a table beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import template

register = template.Library()
WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 34
GRID = 4


@register.inclusion_tag("components/chart.html")
def line_chart(chart: Mapping[str, Any], title: str, x_label: str) -> dict[str, Any]:
    """`chart` is {labels: [number], series: [{name, values: [number or None]}]}; two series are told apart, more repeat."""
    labels: Sequence[float] = chart.get("labels") or ()
    series = chart.get("series") or ()
    values = [value for line in series for value in line["values"] if value is not None]
    if not values:
        return {"title": title, "empty": True}
    low, high = _range(values)
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
    ticks = [low + (high - low) * i / GRID for i in range(GRID + 1)]
    return {
        "title": title,
        "x_label": x_label,
        "lines": lines,
        "y_ticks": [{"y": y(value), "text": f"{value:.3g}"} for value in ticks],
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


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    margin = (high - low) * 0.08 or abs(high) * 0.05 or 0.5
    return low - margin, high + margin


def _some(labels: Sequence[float], most: int = 8) -> list[float]:
    """At most this many labels, evenly taken, the last one among them."""
    step = max(1, -(-len(labels) // most))
    return sorted({*labels[::step], labels[-1]}) if len(labels) <= most else list(labels[::step])
