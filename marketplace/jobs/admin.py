from __future__ import annotations

from django.contrib import admin

from collectives.admin import ReadOnly
from marketplace.jobs.models import Metric, Order


@admin.register(Order)
class OrderAdmin(ReadOnly):
    list_display = ["job_id", "consumer", "budget", "rate", "closed", "created_at"]
    list_filter = ["closed"]


@admin.register(Metric)
class MetricAdmin(ReadOnly):
    list_display = ["order", "checkpoint", "name", "value"]
