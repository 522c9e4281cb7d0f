from __future__ import annotations

from django.apps import AppConfig


class DistributorConfig(AppConfig):
    name = "wallets.distributor"
    label = "distributor"
    verbose_name = "Distributor"
    trust_domain = "distributor"
