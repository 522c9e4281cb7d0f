"""`python -m tests.benchmarks.learning --data DIR`: every run, three seeds, a table, plots, and one line of JSON at the end.

A stopped benchmark goes on where it was: each run's result is kept under --cache. `--only` picks runs by the beginning of their
name, `--held-out` judges by a quarter of the training people and leaves the test split alone (for choosing settings).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from marketplace.demo.datasets import DatasetError
from tests.benchmarks.learning import report
from tests.benchmarks.learning.data import people_of
from tests.benchmarks.learning.engine import Run
from tests.benchmarks.learning.oneshot import OneShot
from tests.benchmarks.learning.results import Kept, last_line
from tests.benchmarks.learning.runs import ONE_SHOTS, cohort_for, runs_for

CACHE = Path("var/bench-learning")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        people = people_of(options.data, options.cache, held=options.held_out)
    except DatasetError as error:
        print(error, file=sys.stderr)
        return 2
    kept = Kept(options.cache / people.digest, people)
    print(
        f"{people.name}: {people.wallets} wallets, cohort {cohort_for(people.wallets)}, {options.seeds} seed(s)",
        flush=True,
    )
    records: list[dict[str, Any]] = []
    # Seed by seed, so that a stop leaves every run with as many seeds as the others.
    for seed in range(options.seeds):
        for spec in _wanted(options, people.wallets):
            if isinstance(spec, str) and seed:
                continue
            record = kept.found(spec, seed) if options.kept else kept.run(spec, seed)
            if record is not None:
                records.append(record)
                print(report.line(record), flush=True)
    print(report.table(records))
    if options.plots:
        report.write(records, people, options.plots)
    print(json.dumps(last_line(records)))
    return 0


def _wanted(options: argparse.Namespace, wallets: int) -> list[Run | OneShot | str]:
    every: list[Run | OneShot | str] = [*runs_for(wallets), "linear-central", "ridge-central", *ONE_SHOTS]
    if not options.only:
        return every

    def name(spec: Run | OneShot | str) -> str:
        return spec if isinstance(spec, str) else spec.name

    return [spec for spec in every if any(name(spec).startswith(start) for start in options.only)]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="learning", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("DATA"), help="a folder with data.csv.gz and schema.json"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="runs whose name begins so")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where results are kept")
    parser.add_argument("--plots", type=Path, help="write a page and plots into this folder")
    parser.add_argument(
        "--held-out", action="store_true", help="judge by training people kept out, not the test split"
    )
    parser.add_argument("--kept", action="store_true", help="report what was finished before and run nothing")
    options = parser.parse_args(arguments)
    if not options.data:
        parser.error("name a data folder: make bench-learning DATA=<folder>")
    options.data = Path(options.data)
    return options


if __name__ == "__main__":
    sys.exit(main())
