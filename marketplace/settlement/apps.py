from __future__ import annotations

from django.apps import AppConfig

from marketplace.trust import TrustDomain


class SettlementConfig(AppConfig):
    name = "marketplace.settlement"
    label = "settlement"
    trust_domain = TrustDomain.MARKET
