from __future__ import annotations

from django.urls import path

from marketplace.individuals import api

urlpatterns = [
    path("server", api.ServerView.as_view(), name="api-server"),
    path("wallets/pair", api.PairView.as_view(), name="api-pair"),
    path("wallets/move", api.MoveView.as_view(), name="api-move"),
    path("wallets/links", api.LinkView.as_view(), name="api-links"),
]
