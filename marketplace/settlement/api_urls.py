from __future__ import annotations

from django.urls import path

from marketplace.settlement import api, model_api, money_api

urlpatterns = [
    path("payouts/<str:address>", api.Payouts.as_view(), name="api-payouts"),
    path("costs/<uuid:collective_id>", model_api.Costs.as_view(), name="api-costs"),
    path("funds", money_api.Funds.as_view(), name="api-funds"),
    path("funds/transactions", money_api.Transactions.as_view(), name="api-transactions"),
    path(
        "collectives/<uuid:collective_id>/settlement",
        money_api.Settlement.as_view(),
        name="api-settlement",
    ),
    path("models/<uuid:job_id>/offer", model_api.Offer.as_view(), name="api-model-offer"),
    path(
        "models/<uuid:job_id>/offer/withdraw",
        model_api.OfferWithdraw.as_view(),
        name="api-model-withdraw",
    ),
    path("models", model_api.Models.as_view(), name="api-models"),
    path("models/<uuid:job_id>/purchases", model_api.Purchases.as_view(), name="api-model-purchases"),
    path("models/<uuid:job_id>/file", model_api.File.as_view(), name="api-model-file"),
]
