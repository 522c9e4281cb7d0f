"""Mounted by `marketplace.urls` at `internal/distributor/`."""

from __future__ import annotations

from django.urls import path

from wallets.distributor import views

urlpatterns = [
    path("mailboxes/<str:key>", views.mailbox),
    path("mailboxes/<str:key>/moved", views.moved_mailbox),
    path("mailboxes/<str:key>/messages", views.messages),
    path("mailboxes/<str:key>/messages/<str:ref>", views.message),
    path("collectives/<uuid:collective_id>/subscribers", views.subscribers),
    path("collectives/<uuid:collective_id>/subscribers/<str:key>", views.subscriber),
    path("collectives/<uuid:collective_id>/notices/<str:ref>", views.notice),
    path("collectives/<uuid:collective_id>/notices/<str:ref>/subscribers/<str:key>", views.notice_to),
    path("jobs/<uuid:job_id>", views.job),
    path("jobs/<uuid:job_id>/announcement", views.announcement),
    path("jobs/<uuid:job_id>/rounds/<int:number>", views.round_),
]
