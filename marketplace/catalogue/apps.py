from __future__ import annotations

from django.apps import AppConfig

from marketplace.trust import TrustDomain


class CatalogueConfig(AppConfig):
    name = "marketplace.catalogue"
    label = "catalogue"
    trust_domain = TrustDomain.MARKET
