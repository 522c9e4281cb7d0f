"""Mounted at `funds/`."""

from __future__ import annotations

from django.urls import path

from marketplace.settlement import views

urlpatterns = [
    path("", views.funds, name="funds"),
    path("add/", views.add, name="funds-add"),
    path("collectives/<uuid:collective_id>/", views.collective, name="collective-settlement"),
]
