from __future__ import annotations

from django.urls import path

from collectives import api, api_owner

urlpatterns = [
    path("collectives", api.CollectiveList.as_view(), name="api-collectives"),
    path("collectives/<uuid:collective_id>", api.CollectiveDetail.as_view(), name="api-collective"),
    path("collectives/<uuid:collective_id>/terms", api.Terms.as_view(), name="api-terms"),
    path("collectives/<uuid:collective_id>/subscriptions", api.Subscriptions.as_view(), name="api-subscribe"),
    path("collectives/<uuid:collective_id>/revocations", api.Revocations.as_view(), name="api-revoke"),
    path("collectives/<uuid:collective_id>/presence", api.Presence.as_view(), name="api-presence"),
    path(
        "collectives/<uuid:collective_id>/notice-answers",
        api.NoticeAnswers.as_view(),
        name="api-notice-answer",
    ),
    path("collectives/<uuid:collective_id>/orders", api_owner.Orders.as_view(), name="api-owner-orders"),
    path(
        "collectives/<uuid:collective_id>/orders/<uuid:job_id>/approve",
        api_owner.Approve.as_view(),
        name="api-owner-approve",
    ),
    path(
        "collectives/<uuid:collective_id>/orders/<uuid:job_id>/return",
        api_owner.Return.as_view(),
        name="api-owner-return",
    ),
]
