"""Mounted at `wallet/`."""

from __future__ import annotations

from django.urls import path

from marketplace.individuals import views

urlpatterns = [
    path("", views.wallet, name="wallet"),
    path("pair/", views.pair, name="pair"),
    path("pair/<uuid:pairing_id>/", views.pairing, name="pairing"),
    path("wallets/<uuid:wallet_id>/status/", views.wallet_status, name="wallet-status"),
    path("wallets/<uuid:wallet_id>/rename/", views.wallet_rename, name="wallet-rename"),
    path("wallets/<uuid:wallet_id>/remove/", views.wallet_remove, name="wallet-remove"),
    path("subscribe/<uuid:collective_id>/", views.subscribe, name="subscribe"),
    path("subscriptions/<uuid:link_id>/", views.subscription, name="subscription"),
    path("subscriptions/<uuid:link_id>/revoke/", views.revoke, name="revoke"),
    path("subscriptions/<uuid:link_id>/forget/", views.forget, name="forget"),
    path("subscriptions/<uuid:link_id>/notices/<uuid:notice_ref>/", views.notice, name="notice"),
]
