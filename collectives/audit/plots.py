"""A report's curves as SVG files, for the command line; pages draw theirs from the same numbers."""

from __future__ import annotations

from pathlib import Path

from collectives.audit.run import Report


def draw(report: Report, folder: Path) -> list[Path]:
    """One file per curve, `<part>-<number>.svg`; the same report gives the same bytes."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    made = []
    settings = {"svg.hashsalt": report.subject.manifest.hash, "font.size": 9}
    for part in report.parts:
        for number, curve in enumerate(part.curves, start=1):
            with mpl.rc_context(settings):
                figure, axes = plt.subplots(figsize=(6.0, 3.2), layout="constrained")
                for (name, values), style in zip(curve.series, ("-o", "--", ":"), strict=False):
                    axes.plot(curve.labels, values, style, label=name, markersize=3)
                axes.set(title=curve.title, xlabel=curve.x_label)
                axes.legend()
                path = folder / f"{part.name}-{number}.svg"
                figure.savefig(path, metadata={"Date": None})
                plt.close(figure)
            made.append(path)
    return made
