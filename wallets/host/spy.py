"""A spy for tests of exactness: what each wallet was about to mask, per job and round.

Only a host that was given a spy explicitly has one; the command line of a wallet never makes one. What it records is
exactly what secure aggregation hides, so it has no place outside tests and demonstrations.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from wallets.agent.messages import Visit
from wallets.agent.round_line import Step

Key = tuple[str, int]


class Spy:
    """Quantised updates (int64 [d]) by (job id, round) and wallet, and how far each wallet came."""

    def __init__(self) -> None:
        self.vectors: dict[Key, dict[str, np.ndarray[Any, Any]]] = defaultdict(dict)
        self.steps: dict[Key, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))

    def vector(self, wallet: str, visit: Visit, update: Any) -> None:
        """Keep one wallet's update."""
        self.vectors[visit.job.job_id, visit.task.round][wallet] = np.asarray(update, dtype=np.int64).copy()

    def step(self, wallet: str, visit: Visit, step: Step) -> None:
        """Keep how far a wallet came."""
        self.steps[visit.job.job_id, visit.task.round][wallet].append(step.value)

    def total(
        self, job_id: str, number: int, *, reached: Step = Step.MASKED_INPUT
    ) -> tuple[np.ndarray[Any, Any], int]:
        """Plain sum and count over the wallets that reached a step."""
        key = (job_id, number)
        included = [v for w, v in self.vectors[key].items() if reached.value in self.steps[key][w]]
        if not included:
            return np.zeros(0, dtype=np.int64), 0
        return np.sum(included, axis=0), len(included)

    def write(self, path: Path) -> None:
        """All of it as JSON: vectors as base64 of int64 little-endian."""
        body = [
            {
                "job": job,
                "round": number,
                "wallets": {
                    wallet: {
                        "steps": self.steps[job, number][wallet],
                        "vector": base64.b64encode(vector.astype("<i8").tobytes()).decode(),
                    }
                    for wallet, vector in wallets.items()
                },
            }
            for (job, number), wallets in self.vectors.items()
        ]
        path.write_text(json.dumps(body))
