"""Mounted at `funds/`."""

from __future__ import annotations

from django.urls import path

from marketplace.settlement import model_views, own_views, views

urlpatterns = [
    path("", views.funds, name="funds"),
    path("add/", views.add, name="funds-add"),
    path("permit/", own_views.permit, name="funds-permit"),
    path("bring/", own_views.bring, name="funds-bring"),
    path("send/", own_views.send, name="funds-send"),
    path("collectives/<uuid:collective_id>/", views.collective, name="collective-settlement"),
    path("models/", model_views.models, name="models"),
    path("models/offer/", model_views.offer, name="model-offer"),
    path("models/<uuid:job_id>/buy/", model_views.buy, name="model-buy"),
    path("models/<uuid:job_id>/withdraw/", model_views.withdraw, name="model-withdraw"),
    path("models/<uuid:job_id>/file/", model_views.file, name="model-file"),
    path("collectives/<uuid:collective_id>/state/", views.state, name="collective-state"),
    path("collectives/<uuid:collective_id>/price/", views.price, name="collective-price"),
]
