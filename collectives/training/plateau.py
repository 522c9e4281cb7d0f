"""When to stop: the visits after the plateau cost people privacy and the consumer money, and bring nothing.

A job's model is judged now and then by a federated evaluation on wallets outside the training cohort; what comes back is a mean
with a known standard error (sampling and noise). The rule compares two neighbouring windows of such means and stops when the later
one is not better by more than chance and by more than a share of the loss nobody would pay for (Prechelt 1998, "Early Stopping –
But When?", section 2, generalised to noisy measurements). Numpy-free and deterministic: anybody can recompute the decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A mean loss, lower is better, and its standard error."""

    loss: float
    error: float


@dataclass(frozen=True, kw_only=True)
class Rule:
    """`window` evaluations are averaged; `least` is the relative improvement from window to window that is worth going on."""

    window: int = 3
    least: float = 0.01
    errors: float = 1.0

    def __post_init__(self) -> None:
        if self.window < 1 or self.least < 0 or self.errors < 0:
            raise ValueError(
                "a plateau needs a window of at least one evaluation and limits that are not negative"
            )


def reached(history: Sequence[Evaluation], rule: Rule) -> bool:
    """Whether the last window improved on the one before by too little to go on; False before two windows are there."""
    if len(history) < 2 * rule.window:
        return False
    before, after = history[-2 * rule.window : -rule.window], history[-rule.window :]
    old, new = (sum(one.loss for one in part) / rule.window for part in (before, after))
    error = (sum(one.error**2 for one in (*before, *after)) ** 0.5) / rule.window
    return old - new <= max(rule.least * old, rule.errors * error)
