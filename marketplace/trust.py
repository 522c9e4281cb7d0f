"""The trust domains of the server side: who may hold what, and in which database it lies.

Every Django app of ours names its domain in `AppConfig.trust_domain`; `marketplace.db_router` turns the domain
into a database alias and `marketplace.checks` refuses to start where a model has no domain or a relation
crosses one. Apps of Django and of libraries (sessions, log-in, admin) belong to the market.
"""

from __future__ import annotations

from enum import StrEnum


class TrustDomain(StrEnum):
    MARKET = "market"
    """Accounts, listings, orders, money towards the chain; and the collectives' own records."""
    DISTRIBUTOR = "distributor"
    """How to reach a wallet, and which wallets were drawn."""
    AGGREGATOR = "aggregator"
    """Masked inputs during a round, sums until collected, the visit ledger."""
    ISSUER = "issuer"
    """What an employer, a school or a reviewer attests: values until the wallet has them, and places in a status list."""


DATABASE_ALIAS: dict[TrustDomain, str] = {
    TrustDomain.MARKET: "default",
    TrustDomain.DISTRIBUTOR: "distributor",
    TrustDomain.AGGREGATOR: "aggregator",
    TrustDomain.ISSUER: "issuer",
}

OWN_PACKAGES = ("marketplace", "collectives", "wallets", "aggregation", "attestation")
"""Top-level packages of this project: apps inside them must name their domain."""


def domain_of(app_config: object) -> TrustDomain | None:
    """The trust domain of an installed app, or None for one of ours that forgot to name it."""
    named = getattr(app_config, "trust_domain", None)
    if named is not None:
        return TrustDomain(named)
    name: str = getattr(app_config, "name", "")
    return None if name.split(".")[0] in OWN_PACKAGES else TrustDomain.MARKET
