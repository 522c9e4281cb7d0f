"""Mounted by `marketplace.urls` at `internal/aggregator/`."""

from __future__ import annotations

from django.urls import path

from aggregation.server import views

urlpatterns = [
    path("jobs/<uuid:job_id>/members", views.members_),
    path("jobs/<uuid:job_id>/rounds/<int:number>", views.round_),
    path("jobs/<uuid:job_id>/rounds/<int:number>/cohort", views.cohort),
    path("jobs/<uuid:job_id>/rounds/<int:number>/cohort/<str:job_key>", views.place),
    path("jobs/<uuid:job_id>/rounds/<int:number>/sum", views.sum_),
    path("jobs/<uuid:job_id>/rounds/<int:number>/collected", views.collected),
    path("signing-requests", views.signing_requests),
    path("signing-requests/<uuid:request_id>", views.signing_request),
    path("letters", views.letters),
    path("letters/<uuid:exclusion_id>", views.letter),
    path("epochs", views.epochs_),
    path("epochs/<int:number>", views.epoch),
    path("epochs/<int:number>/settled", views.settled),
    path("totals", views.totals),
    path("jobs/<uuid:job_id>/shares", views.shares_),
]
