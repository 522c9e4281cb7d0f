"""Secure aggregation, measured.

python -m tests.benchmarks.secagg [--quick] [--out DIR]

The last line printed is one JSON object with the figures. `--quick` takes less than a minute with sizes far below those the names
of the figures say: it shows that everything runs, and its figures mean nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from marketplace.garbage import look_seldom
from tests.benchmarks.secagg.figures import FULL, QUICK, measure
from tests.benchmarks.secagg.report import number, table, write

ROOT = Path(__file__).parents[3]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.secagg", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for the page and the plots (default docs/benchmarks; none when quick)",
    )
    options = parser.parse_args(arguments)
    look_seldom()
    plan = QUICK if options.quick else FULL
    figures = measure(plan, lambda line: print(line, file=sys.stderr, flush=True))
    out = options.out or (None if options.quick else ROOT / "docs" / "benchmarks")
    if out is not None:
        write(out, figures, plan)
    if options.quick:
        print("Quick: the sizes are far smaller than the names of the figures say; targets do not apply.")
    print("\n".join(table(figures)))
    print(
        json.dumps(
            {key: None if value is None else float(number(value)) for key, value in figures.values.items()}
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
