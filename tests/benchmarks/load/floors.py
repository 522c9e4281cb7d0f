"""What a visit costs before anything is done but the secure aggregation: no socket, store, training, ledger or check of terms."""

from __future__ import annotations

from statistics import median
from typing import Any

from tests.benchmarks.secagg.parties import Setting, play

WALLETS, LENGTH, REPEATS = 300, 586, 3
"""Six buckets; the length of the example's net, as `visits` trains it."""


def measure() -> dict[str, Any]:
    """CPU milliseconds of a wallet that checks everything for itself, and of the aggregator for each wallet."""
    rounds = [play(Setting(n=WALLETS, d=LENGTH, lost=0)) for _ in range(REPEATS)]
    wallet = median(made.client for made in rounds)
    aggregator = median(made.server_cpu for made in rounds) / WALLETS
    return {
        "wallets": WALLETS,
        "d": LENGTH,
        "wallet_cpu_ms": round(wallet * 1000, 2),
        "aggregator_cpu_ms": round(aggregator * 1000, 2),
        "most_visits_per_s_on_two_cores": round(2 / (wallet + aggregator)),
    }
