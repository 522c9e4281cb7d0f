"""Mounted at `console/`."""

from __future__ import annotations

from django.urls import path

from collectives.views import algorithms, console, orders, register

urlpatterns = [
    path("", console.console, name="console"),
    path("register/", register.register, name="collective-register"),
    path("preview/", register.preview, name="collective-preview"),
    path("algorithms/", algorithms.mine, name="algorithms"),
    path("algorithms/submit/", algorithms.submit, name="algorithm-submit"),
    path("algorithms/ready-made/", algorithms.ready_made, name="algorithm-ready-made"),
    path(
        "algorithms/ready-made/<uuid:collective_id>/",
        algorithms.ready_made_for,
        name="algorithm-ready-made-for",
    ),
    path("<uuid:collective_id>/", console.overview, name="collective-console"),
    path("<uuid:collective_id>/terms/", console.terms, name="collective-terms"),
    path("<uuid:collective_id>/terms/new/", register.propose, name="collective-propose"),
    path("<uuid:collective_id>/announce/", console.announce, name="collective-announce"),
    path("<uuid:collective_id>/orders/", orders.orders, name="collective-orders"),
    path("<uuid:collective_id>/orders/<uuid:job_id>/approve/", orders.approve, name="order-approve"),
    path("<uuid:collective_id>/orders/<uuid:job_id>/return/", orders.return_, name="order-return"),
    path("<uuid:collective_id>/rounds/", console.rounds, name="collective-rounds"),
]
