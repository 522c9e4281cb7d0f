"""Every address of the site. A composition root: with `marketplace.asgi` the only module that sees all domains.

A process that holds only some roles (`settings.ROLES`) answers only for those.
"""

from __future__ import annotations

from django.conf import settings
from django.urls import URLPattern, URLResolver, include, path

from marketplace import metrics, probes

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", probes.health, name="health"),
    path("readyz", probes.ready, name="ready"),
    path("metrics", metrics.metrics, name="metrics"),
]

if "distributor" in settings.ROLES:
    urlpatterns.append(path("internal/distributor/", include("wallets.distributor.urls")))
if "aggregator" in settings.ROLES:
    urlpatterns.append(path("internal/aggregator/", include("aggregation.server.urls")))
if "issuer" in settings.ROLES:
    urlpatterns.append(path("issuer/", include("attestation.desk.urls")))
if "web" in settings.ROLES:
    from django.contrib import admin
    from drf_spectacular.views import SpectacularAPIView

    from marketplace import browser_wallet
    from marketplace.overview import overview

    urlpatterns += [
        path("", include("marketplace.catalogue.urls")),
        path("accounts/", include("allauth.urls")),
        path("account/", include("marketplace.accounts.urls")),
        path("console/", include("collectives.urls")),
        path("wallet/", include("marketplace.individuals.urls")),
        path("wallet-app/", browser_wallet.serve, name="browser-wallet"),
        path("wallet-app/<path:name>", browser_wallet.serve, name="browser-wallet-file"),
        path("jobs/", include("marketplace.jobs.urls")),
        path("funds/", include("marketplace.settlement.urls")),
        path("api/v1/", include("marketplace.api")),
        path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
        path("admin/overview/", admin.site.admin_view(overview), name="overview"),
        path("admin/", admin.site.urls),
    ]

handler400 = "marketplace.catalogue.errors.bad_request"
handler403 = "marketplace.catalogue.errors.forbidden"
handler404 = "marketplace.catalogue.errors.not_found"
handler500 = "marketplace.catalogue.errors.server_error"
