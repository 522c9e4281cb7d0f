from __future__ import annotations

from django.urls import path, re_path

from collectives import api, api_console, api_owner

urlpatterns = [
    path("collectives", api.CollectiveList.as_view(), name="api-collectives"),
    path("collectives/<uuid:collective_id>", api.CollectiveDetail.as_view(), name="api-collective"),
    path("algorithms", api.AlgorithmList.as_view(), name="api-algorithms"),
    re_path(
        r"^algorithms/(?P<manifest_hash>[0-9a-f]{64})$", api.AlgorithmDetail.as_view(), name="api-algorithm"
    ),
    path("my/collectives", api_console.MyCollectives.as_view(), name="api-my-collectives"),
    path("my/algorithms", api_console.MyAlgorithms.as_view(), name="api-my-algorithms"),
    path("collectives/<uuid:collective_id>/versions", api_console.Versions.as_view(), name="api-versions"),
    path(
        "collectives/<uuid:collective_id>/announcements",
        api_console.Announcements.as_view(),
        name="api-announcements",
    ),
    path(
        "collectives/<uuid:collective_id>/announcements/<uuid:admission_id>/withdraw",
        api_console.Withdraw.as_view(),
        name="api-withdraw",
    ),
    path("collectives/<uuid:collective_id>/jobs", api_console.OwnersJobs.as_view(), name="api-owner-jobs"),
    path("collectives/<uuid:collective_id>/rounds", api_console.Rounds.as_view(), name="api-rounds"),
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
