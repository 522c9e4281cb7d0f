from __future__ import annotations

from django.apps import AppConfig


class AggregatorConfig(AppConfig):
    name = "aggregation.server"
    label = "aggregator"
    verbose_name = "Aggregator"
    trust_domain = "aggregator"
