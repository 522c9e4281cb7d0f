from __future__ import annotations

from django.apps import AppConfig

from marketplace.trust import TrustDomain


class IndividualsConfig(AppConfig):
    name = "marketplace.individuals"
    label = "individuals"
    trust_domain = TrustDomain.MARKET
