"""Who may know what: the table of docs/threat-model.md as data, for the scan of a finished demo run."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from enum import StrEnum


class Fact(StrEnum):
    PERSONAL_DATA = "personal data"
    """A record's values, as text or as encoded features, and the canary text stored beside them."""
    UNMASKED_UPDATE = "one wallet's update"
    """The quantised update of a single wallet, before masking."""
    PSEUDONYM = "pseudonym"
    """A subscription's public key."""
    EMAIL = "account and e-mail"
    PAYOUT_ADDRESS = "payout address"


@dataclass(frozen=True)
class Policy:
    """For each (fact, domain) the places it may lie in, as shell patterns; none = nowhere."""

    table: dict[tuple[Fact, str], tuple[str, ...]]

    def permits(self, fact: Fact, domain: str, place: str) -> bool:
        return any(fnmatch.fnmatchcase(place, pattern) for pattern in self.table.get((fact, domain), ()))

    def domains_of(self, fact: Fact) -> set[str]:
        return {domain for (known, domain), places in self.table.items() if known is fact and places}


DOMAINS = ("wallet", "distributor", "aggregator", "market", "chain", "broker", "logs", "mail")

# The raw files are allowed what one of their tables is allowed: a row lies in its file. What the file check adds is
# everything no table may hold: personal data and updates in free pages.
ALLOWED = Policy(
    {
        (Fact.PSEUDONYM, "distributor"): (
            "table:distributor_*",
            "file:distributor.sqlite3*",
            "file:distributor.postgres/*",
        ),
        (Fact.PSEUDONYM, "aggregator"): (
            "table:aggregator_*",
            "file:aggregator.sqlite3*",
            "file:aggregator.postgres/*",
        ),
        (Fact.PSEUDONYM, "market"): (
            "table:collectives_subscription",
            "table:collectives_agreement",
            "table:collectives_outgoingcall",
            "table:individuals_subscriptionlink",
            "file:market.sqlite3*",
            "file:market.postgres/*",
        ),
        (Fact.EMAIL, "market"): (
            "table:accounts_account",
            "table:account_emailaddress",
            "table:django_admin_log",
            "file:market.sqlite3*",
            "file:market.postgres/*",
        ),
        (Fact.EMAIL, "mail"): ("file:*",),
        (Fact.PAYOUT_ADDRESS, "aggregator"): (
            "table:aggregator_*",
            "file:aggregator.sqlite3*",
            "file:aggregator.postgres/*",
        ),
        (Fact.PAYOUT_ADDRESS, "market"): (
            "table:settlement_*",
            "file:market.sqlite3*",
            "file:market.postgres/*",
        ),
        (Fact.PAYOUT_ADDRESS, "chain"): ("*",),
        # On one PostgreSQL server for all domains its operator sees their rows go by: an argument for a server per domain.
        **{
            (fact, "write-ahead log"): ("file:*",)
            for fact in (Fact.PSEUDONYM, Fact.EMAIL, Fact.PAYOUT_ADDRESS)
        },
    }
)
