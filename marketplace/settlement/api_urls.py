from __future__ import annotations

from django.urls import path

from marketplace.settlement import api, model_api

urlpatterns = [
    path("payouts/<str:address>", api.Payouts.as_view(), name="api-payouts"),
    path("costs/<uuid:collective_id>", model_api.Costs.as_view(), name="api-costs"),
    path("models", model_api.Models.as_view(), name="api-models"),
    path("models/<uuid:job_id>/purchases", model_api.Purchases.as_view(), name="api-model-purchases"),
    path("models/<uuid:job_id>/file", model_api.File.as_view(), name="api-model-file"),
]
