from __future__ import annotations

from django.urls import path

from collectives import api

urlpatterns = [
    path("collectives", api.CollectiveList.as_view(), name="api-collectives"),
    path("collectives/<uuid:collective_id>", api.CollectiveDetail.as_view(), name="api-collective"),
    path("collectives/<uuid:collective_id>/terms", api.Terms.as_view(), name="api-terms"),
    path("collectives/<uuid:collective_id>/subscriptions", api.Subscriptions.as_view(), name="api-subscribe"),
    path("collectives/<uuid:collective_id>/revocations", api.Revocations.as_view(), name="api-revoke"),
    path(
        "collectives/<uuid:collective_id>/notice-answers",
        api.NoticeAnswers.as_view(),
        name="api-notice-answer",
    ),
]
