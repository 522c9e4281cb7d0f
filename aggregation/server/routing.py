from __future__ import annotations

from django.urls import path

from aggregation.server.consumers import RoundConsumer

websocket_urlpatterns = [path("ws/round/", RoundConsumer.as_asgi())]
