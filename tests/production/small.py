"""Production settings for rounds of two dozen wallets: a site for people never releases a sum of so few."""

from __future__ import annotations

from marketplace.settings.production import *  # noqa: F403

DEVELOPMENT_MINIMA = True
