"""The holder's own limits for one collective, and what a visit costs in privacy."""

from __future__ import annotations

from dataclasses import dataclass

from aggregation.privacy import budget
from aggregation.secagg.messages import Header
from wallets.agent.ledger import UNBOUNDED, cost_of

__all__ = ["MICRO", "UNBOUNDED", "OwnLimits", "epsilon_of", "privacy_cost"]
MICRO = 1_000_000


@dataclass(frozen=True, kw_only=True)
class OwnLimits:
    """What the holder set for one collective, on top of its permit. Zero means: no limit of its own.

    `visits_per_day`, `visits_total`: accepted tasks. `privacy_micro`: millionths of ρ, see `privacy_cost`.
    `bucket_min`, `release_min`: smallest groups to be summed with.
    """

    visits_per_day: int = 0
    visits_total: int = 0
    privacy_micro: int = 0
    bucket_min: int = 0
    release_min: int = 0


def privacy_cost(header: Header) -> int:
    """What one visit costs at most, in millionths of ρ, towards whoever reads a bucket's sum: the ledger's own number (`ledger.cost_of`)."""
    return cost_of(header).operator_micro


def epsilon_of(privacy_micro: int, *, delta_exponent: int = 6) -> float:
    """The ε that goes with a sum of costs at δ = 10^-delta_exponent; see `aggregation.privacy.budget`."""
    return budget.epsilon(privacy_micro, delta_exponent=delta_exponent)
