from __future__ import annotations

from django.apps import AppConfig

from marketplace.trust import TrustDomain


class MarketplaceConfig(AppConfig):
    """The project package itself: system checks and management commands, no models."""

    name = "marketplace"
    trust_domain = TrustDomain.MARKET

    def ready(self) -> None:
        from marketplace import checks, telemetry  # noqa: F401  registers the checks

        telemetry.configure()
