from __future__ import annotations

from django.apps import AppConfig

from marketplace.trust import TrustDomain


class AccountsConfig(AppConfig):
    name = "marketplace.accounts"
    label = "accounts"
    trust_domain = TrustDomain.MARKET
