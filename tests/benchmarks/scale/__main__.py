"""`python -m tests.benchmarks.scale [--wallets N] [--out FILE] [--plot FILE]`: arithmetic, then a day of the scheduler beside it."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from tests.benchmarks.scale import costs, page
from tests.benchmarks.scale.simulation import Day, Scheduler, compare
from tests.benchmarks.scale.world import World, needs

DOCS = costs.ROOT / "docs" / "benchmarks"


def main() -> int:
    options = _options()
    world = World(
        wallets=options.wallets,
        visits_per_wallet=options.visits,
        collectives=options.collectives,
        cohort=options.cohort,
    )
    unit = costs.read()
    found = needs(world, unit)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    day = Scheduler(world, unit, found.aggregator_cores, seed=options.seed).run(say)
    result = {
        "compared": compare(world, found, day),
        "needs": asdict(found),
        "world": asdict(world),
        "costs": asdict(unit),
    }
    if options.out:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.plot:
        plot(options.plot, day, world)
    if options.page:
        page.write(options.page, result)
    print(json.dumps(result["compared"]))
    return int(bool(day.drawn_out_of_turn or day.short_rounds or day.shards_disagree))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale", description=__doc__)
    parser.add_argument("--wallets", type=int, default=World.wallets)
    parser.add_argument("--visits", type=float, default=World.visits_per_wallet, help="of a wallet and day")
    parser.add_argument("--collectives", type=int, default=World.collectives)
    parser.add_argument("--cohort", type=int, default=World.cohort)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=DOCS / "scale.json")
    parser.add_argument("--plot", type=Path, default=DOCS / "scale.svg")
    parser.add_argument("--page", type=Path, help="docs/scale.md, to put the figures into")
    return parser.parse_args()


def plot(path: Path, day: Day, world: World) -> None:
    """Three panels over the hours of the day: visits, rounds that run, and how long sums kept a round waiting."""
    figure = Figure(figsize=(9, 3), layout="constrained")
    panels: Any = figure.subplots(1, 3)
    hours = np.array(day.began) / 3600
    bins = np.arange(25)
    visits = np.histogram(hours, bins)[0] * world.cohort / 3600
    panels[0].stairs(visits, bins, color="#0b6e8a", fill=True, alpha=0.4)
    panels[0].set_title("visits per second", fontsize=10)
    some = slice(None, None, max(1, len(hours) // 1000))  # a dot per round would make a picture of megabytes
    panels[1].plot(hours[some], day.running[some], ".", markersize=1, color="#b4540a")
    panels[1].set_title("rounds that run", fontsize=10)
    panels[2].plot(hours[some], day.waits[some], ".", markersize=1, color="#0b6e8a")
    panels[2].set_title("seconds until the last sum", fontsize=10)
    for panel in panels:
        panel.set_xlabel("hour of the day")
        panel.set_xlim(0, 24)
        panel.set_ylim(bottom=0)
        panel.grid(color="#d9dee3", linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    with rc_context({"svg.hashsalt": "scale"}):
        figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main())
