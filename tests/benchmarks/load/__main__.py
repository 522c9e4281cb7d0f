"""How much one machine bears, beside Flower on the same model; ends with one line of JSON.

    python -m tests.benchmarks.load [--only crowd,visits,floors,growth,flower] [--levels 1000,5000,10000] [--out FILE] [--docs DIR]

Every section can be run for itself; `--out` keeps the figures, and a later run adds to what is there. What was run so far is in
docs/benchmarks/load.md; the default sizes are not among it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.benchmarks.load import report

SECTIONS = ("crowd", "visits", "floors", "growth", "flower")


def main() -> int:
    given = _parser().parse_args()
    only = [name for name in given.only.split(",") if name]
    if unknown := set(only) - set(SECTIONS):
        print(
            f"No such section: {', '.join(sorted(unknown))}. There are {', '.join(SECTIONS)}.",
            file=sys.stderr,
        )
        return 2
    found: dict[str, Any] = {}
    if given.out and given.out.exists():
        found = json.loads(given.out.read_text(encoding="utf-8"))
    found["load_average"] = os.getloadavg()[0]
    for name in only or SECTIONS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        _MEASURE[name](given, found)
        found.setdefault("at", {})[name] = f"{datetime.now():%d %B %Y %H:%M}"
        if given.out:
            given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    line = report.line(found)
    if given.docs:
        given.docs.mkdir(parents=True, exist_ok=True)
        (given.docs / "load.md").write_text(report.page(found), encoding="utf-8")
        (given.docs / "load.json").write_text(json.dumps(line, indent=1) + "\n", encoding="utf-8")
        report.draw(found, given.docs)
    print(json.dumps(line))
    return 0


def _crowd(given: argparse.Namespace, found: dict[str, Any]) -> None:
    from tests.benchmarks.load import crowd

    found["crowd"] = crowd.measure(_numbers(given.levels))


def _visits(given: argparse.Namespace, found: dict[str, Any]) -> None:
    from tests.benchmarks.load import visits

    for name in ("apart", "packed"):
        found[name] = visits.measure(
            given.wallets, given.visits, packed=name == "packed", cohort=given.cohort
        )
        if not found[name]["ok"]:
            raise RuntimeError(f"the {name} run did not hold")


def _floors(given: argparse.Namespace, found: dict[str, Any]) -> None:
    from tests.benchmarks.load import floors

    found["floors"] = floors.measure()


def _growth(given: argparse.Namespace, found: dict[str, Any]) -> None:
    from tests.benchmarks.load import visits

    found["growth"] = visits.growth(_numbers(given.agents), _numbers(given.lengths))


def _flower(given: argparse.Namespace, found: dict[str, Any]) -> None:
    from tests.benchmarks.load import flower

    try:
        found["flower_simulation"] = flower.simulation(given.flower_simulated, given.flower_rounds)
        found["flower_deployed"] = flower.deployed(given.flower_nodes, given.flower_rounds)
    except flower.NoPeers as missing:
        print(missing, file=sys.stderr)


_MEASURE: dict[str, Callable[[argparse.Namespace, dict[str, Any]], None]] = {
    "crowd": _crowd,
    "visits": _visits,
    "floors": _floors,
    "growth": _growth,
    "flower": _flower,
}


def _numbers(text: str) -> list[int]:
    return sorted(int(number) for number in text.split(","))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.load", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--only", default="", help=f"some of {','.join(SECTIONS)}")
    parser.add_argument("--levels", default="1000,5000,10000", help="idle agents")
    parser.add_argument("--wallets", type=int, default=300, help="wallets whose visits are counted")
    parser.add_argument("--visits", type=int, default=1500)
    parser.add_argument("--cohort", type=int, help="wallets per round")
    parser.add_argument(
        "--agents", default="100,200,400", help="growth along these numbers of agents, at least 100"
    )
    parser.add_argument("--lengths", default="1000,10000,100000,1000000", help="growth along these lengths")
    parser.add_argument("--flower-nodes", type=int, default=10, help="SuperNode processes")
    parser.add_argument("--flower-simulated", type=int, default=50, help="nodes of its simulation")
    parser.add_argument("--flower-rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="keep the figures here, and add to those that are there")
    parser.add_argument("--docs", type=Path, help="write load.md, load.json and the plots into this folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())
