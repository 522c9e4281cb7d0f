from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("internal/distributor/", include("wallets.distributor.urls")),
    path("internal/aggregator/", include("aggregation.server.urls")),
]
