"""A client of the marketplace's REST API, for notebooks and programs of data consumers and collective owners.

    from marketplace.client import Market, base_units

    market = Market("https://market.example", token="cssi_…")
    for collective in market.collectives(field="sleep"):
        print(collective.name, collective.subscribers)

It imports nothing of the platform: httpx and the standard library only. `docs/client.md` shows a whole order.
"""

from __future__ import annotations

from marketplace.client.amounts import base_units, in_tokens
from marketplace.client.errors import Refused, Unreachable
from marketplace.client.job import Job
from marketplace.client.market import Market
from marketplace.client.owner import OwnedCollective
from marketplace.client.records import Algorithm, Checkpoint, Collective, JobState, Round

__all__ = [
    "Algorithm",
    "Checkpoint",
    "Collective",
    "Job",
    "JobState",
    "Market",
    "OwnedCollective",
    "Refused",
    "Round",
    "Unreachable",
    "base_units",
    "in_tokens",
]
