"""The report's pictures as SVG, drawn so that they read on a light and on a dark page."""

from __future__ import annotations

import io
from collections.abc import Callable

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from marketplace.demo.result import DemoResult

_INK, _LINE, _FAINT, _WARN = "#7a8494", "#2f80c3", "#b7bfca", "#c9772b"


def figure(title: str, draw: Callable[[Axes], None]) -> str:
    """One figure as an `<svg>` string without XML prologue, title set for screen readers."""
    with plt.rc_context(
        {"svg.fonttype": "none", "text.color": _INK, "axes.labelcolor": _INK, "svg.hashsalt": title}
    ):
        drawing, axes = plt.subplots(figsize=(7.2, 3.2))
        draw(axes)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axes.spines[side].set_color(_FAINT)
        axes.tick_params(colors=_INK)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        out = io.StringIO()
        drawing.savefig(
            out, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None, "Title": title}
        )
        plt.close(drawing)
    text = out.getvalue()
    return text[text.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{title}"', 1)


def metric_per_round(result: DemoResult) -> str:
    rounds = result.released()

    def draw(axes: Axes) -> None:
        numbers = [r.number for r in rounds]
        for label, colour, values in (
            ("AUC", _LINE, [r.metrics.auc for r in rounds if r.metrics]),
            ("accuracy", _WARN, [r.metrics.accuracy for r in rounds if r.metrics]),
        ):
            axes.plot(numbers, values, color=colour, marker="o", markersize=3.5, label=label)
        if result.central:
            axes.axhline(
                result.central.auc,
                color=_LINE,
                linestyle="--",
                linewidth=1,
                label="AUC, all data in one place",
            )
            axes.axhline(
                result.central.accuracy,
                color=_WARN,
                linestyle="--",
                linewidth=1,
                label="accuracy, all data in one place",
            )
        axes.set_xlabel("round")
        axes.legend(frameon=False, fontsize=8, loc="lower right")

    return figure("Metric per round against the model trained with all data in one place", draw)


def cohort_per_round(result: DemoResult) -> str:
    def draw(axes: Axes) -> None:
        numbers = [r.number for r in result.rounds]
        axes.bar(numbers, [r.delivered for r in result.rounds], color=_FAINT, label="asked to take part")
        axes.bar(numbers, [r.survivors for r in result.rounds], color=_LINE, width=0.5, label="in the sum")
        axes.set_xlabel("round")
        axes.set_ylabel("wallets")
        axes.legend(frameon=False, fontsize=8, loc="lower right")

    return figure("Wallets per round: asked, and in the sum", draw)
