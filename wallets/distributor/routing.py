from __future__ import annotations

from django.urls import path

from wallets.distributor.consumers import WalletConsumer

websocket_urlpatterns = [path("ws/wallet/", WalletConsumer.as_asgi())]
