from __future__ import annotations

from django.urls import path

from marketplace.settlement import api

urlpatterns = [path("payouts/<str:address>", api.Payouts.as_view(), name="api-payouts")]
