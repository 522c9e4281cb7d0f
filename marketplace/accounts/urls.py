"""Mounted at `account/`; signing in and out is allauth's, at `accounts/`."""

from __future__ import annotations

from django.urls import path

from marketplace.accounts import views

urlpatterns = [
    path("", views.account, name="account"),
    path("language/", views.language, name="language"),
    path("export/", views.export, name="account-export"),
    path("tokens/", views.api_tokens, name="api-tokens"),
    path("tokens/<uuid:token_id>/delete/", views.token_delete, name="api-token-delete"),
    path("delete/", views.delete, name="account-delete"),
]
