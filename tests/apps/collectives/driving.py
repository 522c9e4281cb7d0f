"""What tests of a driven job look at: its weights and its books."""

from __future__ import annotations

from typing import Any

import numpy as np

from collectives.models import Job

F = 16
"""Fraction bits of the sums."""


def weights(job: Job, number: int) -> Any:
    return np.frombuffer(bytes(job.checkpoints.get(number=number).weights), dtype="<f4")


def balanced(job: Job) -> None:
    """What the books say adds up, and nothing is promised any more."""
    job.refresh_from_db()
    assert job.visits_reserved == 0
    assert job.visits_earned == sum(job.rounds.values_list("receipts", flat=True))
    assert job.visits_earned <= job.visits_budget
