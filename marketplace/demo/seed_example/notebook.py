"""What a run must remember to go on after it was stopped, and what it measured so far: one JSON file in the state folder.

The databases are the truth about wallets, visits and money; here stands only which of them belong to this run, and the costs, which no
database knows. It is written whole and renamed into place, so a kill leaves the last good one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from marketplace.demo.plan import PlanError
from marketplace.demo.seed_example.costs import Cost
from marketplace.demo.seed_example.size import Size

NAME = "seed-example.json"


@dataclass(kw_only=True)
class Phase:
    """Seconds by the clock, CPU seconds by part, and how many wallets it is done for."""

    seconds: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    done: int = 0

    @property
    def cpu_seconds(self) -> float:
        return sum(self.cpu.values())


@dataclass(kw_only=True)
class Notebook:
    """`points`: (visits, CPU seconds of the rounds so far), for the curve of growth.

    `idle`: CPU seconds that all parts take per second while nothing happens (sweeps, heartbeats); 0 before it was measured.
    """

    size: Size
    seed: int
    collective_id: str = ""
    order_id: str = ""
    starts: int = 0
    idle: float = 0.0
    peak_memory: int = 0
    peak_by_part: dict[str, int] = field(default_factory=dict)
    phases: dict[str, Phase] = field(default_factory=dict)
    points: list[tuple[int, float]] = field(default_factory=list)

    @classmethod
    def open(cls, folder: Path, size: Size, seed: int) -> Notebook:
        """The notebook of a run that was stopped here, or a new one.

        Raises:
            PlanError: a run of another size or seed was begun in this folder.
        """
        path = folder / NAME
        if not path.exists():
            return cls(size=size, seed=seed)
        kept = json.loads(path.read_text(encoding="utf-8"))
        found = cls(
            **kept
            | {
                "size": Size(**kept["size"]),
                "phases": {name: Phase(**phase) for name, phase in kept["phases"].items()},
                "points": [tuple(point) for point in kept["points"]],
            }
        )
        if (found.size, found.seed) != (size, seed):
            raise PlanError(
                f"A run of {found.size.wallets} wallets and {found.size.visits} visits (seed {found.seed}) was begun in {folder}. "
                "Give the same numbers to go on with it, or --fresh to begin anew, or another folder with CSSI_VAR."
            )
        return found

    def save(self, folder: Path) -> None:
        path = folder / NAME
        fresh = path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as out:
            json.dump(asdict(self), out)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(path)

    def phase(self, name: str) -> Phase:
        return self.phases.setdefault(name, Phase())

    def note_memory(self, costs: Mapping[str, Cost]) -> None:
        """Keep the largest sum seen, and each part's largest."""
        self.peak_memory = max(self.peak_memory, sum(cost.memory for cost in costs.values()))
        for name, cost in costs.items():
            self.peak_by_part[name] = max(self.peak_by_part.get(name, 0), cost.memory)
