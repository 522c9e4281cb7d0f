from __future__ import annotations

from django.apps import AppConfig


class CollectivesConfig(AppConfig):
    name = "collectives"
    label = "collectives"
    trust_domain = "market"
    verbose_name = "Compute Collectives"
