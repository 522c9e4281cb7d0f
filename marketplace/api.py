"""The versioned REST API (`/api/v1/`), put together from each app's part."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("", include("collectives.api_urls")),
    path("", include("marketplace.individuals.api_urls")),
    path("", include("marketplace.jobs.api_urls")),
    path("", include("marketplace.settlement.api_urls")),
]
