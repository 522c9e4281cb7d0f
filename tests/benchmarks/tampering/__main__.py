"""`python -m tests.benchmarks.tampering --data DIR`: every attack at every share, a page with plots, and one line of JSON at the end.

A stopped benchmark goes on where it was: each result is kept under --cache.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from marketplace.demo.datasets import DatasetError
from tests.benchmarks.learning.data import People, people_of
from tests.benchmarks.tampering import report
from tests.benchmarks.tampering.attacks import Attack
from tests.benchmarks.tampering.simulation import Setting, Simulation, as_record

CACHE = Path("var/bench-tampering")
VERSION = 1
"""Counted up by hand when a change of the code must not reuse what was kept."""
SHARES = (0.01, 0.05, 0.02, 0.005, 0.001, 0.10)
ATTACKS = (
    ("flip", True),
    ("flip", False),
    ("noise", True),
    ("noise", False),
    ("scale", False),
    ("backdoor", True),
    ("backdoor", False),
    ("free-rider", True),
)
"""Kinds, and whether the bound holds them."""
EVERY_RULE = ("norm", "cosine", "median", "trimmed")
COMPARED = (0.01, 0.02, 0.05)


def settings(wallets: int) -> Iterator[Setting]:
    """All that is run, on the first 2,000 wallets or all there are; half of them are a cohort."""
    wallets = min(wallets, Setting.wallets)
    plain = Setting(wallets=wallets, cohort=wallets // 2)
    defences = [(rule, bucket) for _, rule, bucket in report.DEFENCES]
    for rule, bucket in (*defences, *((rule, 50) for rule in EVERY_RULE)):
        yield replace(plain, rule=rule, bucket=bucket)
    for rule, bucket in defences:
        for share in SHARES:
            for kind, bounded in ATTACKS:
                attack = Attack(kind=kind, share=share, bounded=bounded)
                yield replace(plain, attack=attack, rule=rule, bucket=bucket)
    for share in COMPARED:
        for rule in EVERY_RULE:
            yield replace(plain, attack=Attack(kind="flip", share=share, bounded=False), rule=rule)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        people = people_of(options.data, options.cache)
    except DatasetError as error:
        print(error, file=sys.stderr)
        return 2
    records: list[dict[str, Any]] = []
    for seed in range(options.seeds):
        for setting in settings(people.wallets):
            record = _kept(setting, people, seed, options.cache, run=not options.kept)
            if record is not None:
                records.append(record)
                print(report.line(record), flush=True)
    if options.plots:
        report.write(records, people, options.plots)
    print(json.dumps(report.last_line(records)))
    return 0


def _kept(setting: Setting, people: People, seed: int, cache: Path, *, run: bool) -> dict[str, Any] | None:
    key = json.dumps([VERSION, people.digest, seed, asdict(setting)], sort_keys=True)
    path = cache / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    if path.exists():
        return dict(json.loads(path.read_text("utf-8")))
    if not run:
        return None
    record = as_record(setting, seed, Simulation(setting, people, seed).train())
    whole = path.with_suffix(".part")
    whole.write_text(json.dumps(record), "utf-8")
    whole.replace(path)
    return record


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tampering", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("DATA"), help="a folder with data.csv.gz and schema.json"
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--cache", type=Path, default=CACHE, help="where results are kept")
    parser.add_argument("--plots", type=Path, help="write a page and plots into this folder")
    parser.add_argument("--kept", action="store_true", help="report what was finished before and run nothing")
    options = parser.parse_args(arguments)
    if not options.data:
        parser.error("name a data folder: make bench-tampering DATA=<folder>")
    options.data = Path(options.data)
    return options


if __name__ == "__main__":
    sys.exit(main())
