"""Numbers of people leave the collective domain in steps while they are live, never exactly."""

from __future__ import annotations

STEPS = (1, 10, 50, 100, 300, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000)


def bucketed(count: int) -> str:
    """A number of people in steps: 447 -> '300+'."""
    reached = [step for step in STEPS if step <= count]
    return f"{reached[-1]:,}+" if reached else "none yet"
