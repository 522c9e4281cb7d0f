"""Mounted at `account/`; signing in and out is allauth's, at `accounts/`."""

from __future__ import annotations

from django.urls import path

from marketplace.accounts import views

urlpatterns = [
    path("", views.account, name="account"),
    path("export/", views.export, name="account-export"),
    path("delete/", views.delete, name="account-delete"),
]
