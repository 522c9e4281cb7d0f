"""Adaptive clipping: the bound follows a quantile of the updates' norms, learned from sums alone.

Andrew, Thakkar, McMahan, Ramaswamy 2021, "Differentially Private Learning with Adaptive Clipping", arXiv 1905.03871, algorithm
1: besides its update a wallet sends one more coordinate, +½ when its norm is within the bound and −½ when it is not; the sum of
those says, with the same noise as everything else, what share of wallets is within. The bound is then moved geometrically:
C ← C·exp(−rate·(share − target)).

The indicator travels as coordinate d, scaled to `weight`·C/2, so that the whole vector has norm at most C·√(1 + weight²/4):
that is what a wallet is charged for (`sensitivity_factor`). A round's header bounds the whole vector; `inner_bound` is the C in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aggregation.privacy.clipping import clip, lengths

Floats = NDArray[np.float64]
WEIGHT = 0.2
"""Of the indicator in every wallet's answer. Part of the protocol: agents and tabs know no other."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """`target`: share of wallets whose update is left alone. `rate`: how fast the bound moves. `weight`: of the indicator."""

    target: float = 0.5
    rate: float = 0.2
    weight: float = WEIGHT
    least: float = 1e-3
    most: float = 1e3

    def __post_init__(self) -> None:
        if not (0 < self.target < 1 and self.rate > 0 and self.weight > 0 and 0 < self.least < self.most):
            raise ValueError(
                "an adaptive bound needs a target between 0 and 1 and positive rate, weight and limits"
            )

    @property
    def sensitivity_factor(self) -> float:
        """The norm bound of update and indicator together, in clip bounds."""
        return math.sqrt(1 + self.weight * self.weight / 4)


def inner_bound(whole: float, rule: Rule) -> float:
    """The bound of the update where update and indicator together have the bound `whole`."""
    return whole / rule.sensitivity_factor


def with_indicator(updates: Floats, bound: float, rule: Rule) -> Floats:
    """float64 [..., d + 1]: the clipped updates, and ±weight·bound/2 for whether each was within."""
    within = lengths(updates) <= bound
    mark = np.where(within, 0.5, -0.5) * (rule.weight * bound)
    return np.concatenate([clip(updates, bound), mark[..., np.newaxis]], axis=-1)


def next_bound(bound: float, mean: Floats, rule: Rule) -> tuple[Floats, float, float]:
    """(mean update [d], the next bound, the share within as measured) from a released mean [d + 1].

    The measured share is noisy and kept within 0 and 1; the next bound within the rule's limits.
    """
    share = min(1.0, max(0.0, float(mean[-1]) / (rule.weight * bound) + 0.5))
    moved = bound * math.exp(-rule.rate * (share - rule.target))
    return mean[:-1], min(rule.most, max(rule.least, moved)), share
