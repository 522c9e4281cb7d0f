from __future__ import annotations

from django.apps import AppConfig

from marketplace.trust import TrustDomain


class DevchainConfig(AppConfig):
    name = "marketplace.devchain"
    label = "devchain"
    trust_domain = TrustDomain.MARKET
