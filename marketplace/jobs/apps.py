from __future__ import annotations

from django.apps import AppConfig

from marketplace.trust import TrustDomain


class JobsConfig(AppConfig):
    name = "marketplace.jobs"
    label = "jobs"
    trust_domain = TrustDomain.MARKET
