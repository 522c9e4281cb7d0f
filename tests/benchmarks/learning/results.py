"""Results that survive a stop: one JSON file per run and seed, named by everything they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from aggregation.privacy import accounting
from aggregation.privacy.accounting import Sampling
from tests.benchmarks.learning import oneshot
from tests.benchmarks.learning.data import People
from tests.benchmarks.learning.engine import Formal, Job, Result, Run, as_record, central
from tests.benchmarks.learning.oneshot import OneShot
from tests.benchmarks.learning.runs import DIFFERENCES, KEYS, ORDER, runs_for

VERSION = 1
"""Counted up by hand when a change of the code must not reuse what was kept."""


class Kept:
    """A folder of results for one data set; a run found there is not run again."""

    def __init__(self, folder: Path, people: People) -> None:
        self._folder, self._people = folder, people
        folder.mkdir(parents=True, exist_ok=True)

    def found(self, spec: Run | OneShot | str, seed: int) -> dict[str, Any] | None:
        """The record of a run that was finished before, else None."""
        _, path = self._place(spec, seed)
        return json.loads(path.read_text("utf-8")) if path.exists() else None

    def run(self, spec: Run | OneShot | str, seed: int) -> dict[str, Any]:
        """The record of a run; "linear-central" and "ridge-central" are the yardsticks with all records in one place."""
        known = self.found(spec, seed)
        if known is not None:
            return known
        name, path = self._place(spec, seed)
        progress = path.with_suffix(".progress")
        record = as_record(self._execute(spec, seed, progress)) | {"name": name, "seed": seed}
        self._write(path, record)
        progress.unlink(missing_ok=True)
        return record

    def _place(self, spec: Run | OneShot | str, seed: int) -> tuple[str, Path]:
        about = asdict(spec) if not isinstance(spec, str) else {"name": spec}
        key = json.dumps([VERSION, self._people.digest, seed, about], sort_keys=True)
        digest = hashlib.sha256(key.encode()).hexdigest()[:10]
        return about["name"], self._folder / f"{about['name']}-{seed}-{digest}.json"

    def _execute(self, spec: Run | OneShot | str, seed: int, progress: Path) -> Result:
        if isinstance(spec, str):
            if spec == "ridge-central":
                return oneshot.central(self._people, OneShot(name=spec).ridge)
            return central(runs_for(self._people.wallets)[0], self._people)
        if isinstance(spec, OneShot):
            return oneshot.run(spec, self._people, seed)
        return Job(spec, self._people, seed, self.multiplier).train(progress)

    def multiplier(self, promise: Formal, sampling: Sampling | None) -> float:
        """The accountant's answer, kept: composing hundreds of sampled rounds takes a while."""
        about = [VERSION, asdict(promise), asdict(sampling) if sampling else None]
        digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:10]
        path = self._folder / f"multiplier-{digest}.json"
        if path.exists():
            return float(json.loads(path.read_text("utf-8"))["multiplier"])
        ask = partial(accounting.multiplier_for, promise.epsilon, delta=promise.delta)
        found = ask(sampling=sampling) if sampling else ask(visits=promise.visits)
        self._write(path, {"multiplier": found, "asked": about[1:]})
        return found

    def _write(self, path: Path, record: dict[str, Any]) -> None:
        whole = path.with_suffix(".part")
        whole.write_text(json.dumps(record), "utf-8")
        whole.replace(path)


def averages(records: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Run → figure → mean over seeds."""
    found: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(record["name"] for record in records):
        mine = [record for record in records if record["name"] == name]
        found[name] = {
            figure: mean(record[figure] for record in mine)
            for figure in (
                "accuracy",
                "auc",
                "log_loss",
                "visits",
                "rounds",
                "most_visits",
                "seconds",
                "clip",
            )
        }
    return found


def last_line(records: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The figures the benchmark is judged by, in their order; only those whose runs are there."""
    means = averages(records)
    line = {key: means[run][figure] for key, (run, figure, _) in KEYS.items() if run in means}
    for key, (one, other, _) in DIFFERENCES.items():
        if one in means and other in means:
            line[key] = mean(_differences(records, one, other))
    return {key: round(line[key], 6) for key in ORDER if key in line}


def _differences(records: Sequence[dict[str, Any]], one: str, other: str) -> list[float]:
    """Per seed, so that what rounding changes is not averaged away."""

    def by_seed(name: str) -> dict[int, float]:
        return {record["seed"]: record["auc"] for record in records if record["name"] == name}

    first, second = by_seed(one), by_seed(other)
    pick: Callable[[int], float] = lambda seed: first.get(seed, next(iter(first.values())))  # noqa: E731
    return [abs(pick(seed) - auc) for seed, auc in second.items()]
