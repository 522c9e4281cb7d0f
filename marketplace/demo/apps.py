from __future__ import annotations

from django.apps import AppConfig

from marketplace.trust import TrustDomain


class DemoConfig(AppConfig):
    name = "marketplace.demo"
    label = "demo"
    trust_domain = TrustDomain.MARKET
