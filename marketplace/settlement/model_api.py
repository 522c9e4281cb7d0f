"""What a job costs before it is ordered, and models for sale, over REST."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from collectives.api_fields import BaseUnits
from collectives.api_owner import refused_without
from collectives.paging import list_schema, paged
from marketplace.accounts.models import Role
from marketplace.settlement import preview, sales
from marketplace.settlement.errors import SettlementError
from marketplace.settlement.model_views import model_file
from marketplace.settlement.models import ModelOffer, ModelPurchase


class FeeOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    amount = serializers.CharField(help_text="base units")


class GasOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    gas = serializers.IntegerField(help_text="at most")


class CostOut(serializers.Serializer[Any]):
    fees = FeeOut(many=True)
    total = serializers.CharField(help_text="base units")
    transactions = GasOut(many=True)
    notes = serializers.ListField(child=serializers.CharField(), help_text="taken out of what is paid above")
    native = serializers.CharField(
        allow_null=True, help_text="what the gas costs at most, wei; null while the chain does not answer"
    )


class ModelOut(serializers.Serializer[Any]):
    job_id = serializers.UUIDField()
    price = serializers.CharField(help_text="base units")
    to_individuals = serializers.CharField(help_text="base units of it, by their visits")
    to_collective = serializers.CharField(help_text="base units of it")
    datatoken = serializers.CharField()
    status = serializers.ChoiceField(choices=ModelOffer.Status.values)
    purchase = serializers.ChoiceField(
        choices=ModelPurchase.Status.values, allow_null=True, help_text="yours; paid: download it"
    )


class BudgetIn(serializers.Serializer[Any]):
    budget = BaseUnits(help_text="base units, as a decimal string")


class PurchaseIn(serializers.Serializer[Any]):
    most = BaseUnits(help_text="the most you pay, base units, as a decimal string")


class OfferIn(serializers.Serializer[Any]):
    price = BaseUnits(help_text="base units, as a decimal string")


@extend_schema(tags=["money"], responses=CostOut, parameters=[BudgetIn])
class Costs(APIView):
    def get(self, request: Request, collective_id: uuid.UUID) -> Response:
        """What a job with a budget costs you at most: every fee by name, and the gas of every transaction."""
        asked = BudgetIn(data=request.query_params)
        asked.is_valid(raise_exception=True)
        cost = preview.of_job_of(request.user, collective_id, asked.validated_data["budget"])
        return Response(
            {
                "fees": [{"name": line.name, "amount": str(line.amount)} for line in cost.lines],
                "total": str(cost.total),
                "transactions": [{"name": name, "gas": gas} for name, gas in cost.gas],
                "notes": list(cost.notes),
                "native": None if cost.native is None else str(cost.native),
            }
        )


class Models(APIView):
    @list_schema(ModelOut, by="offset", tags=["models"])
    def get(self, request: Request) -> Response:
        """Models for sale with the split of their price, and those you bought."""
        mine = {purchase.offer_id: purchase for purchase in reversed(sales.bought(request.user))}
        offers = ModelOffer.objects.select_related("asset")
        shown = [o for o in offers if o.status == ModelOffer.Status.OFFERED or o.pk in mine]
        return paged(request, shown, lambda offer: _model(offer, mine.get(offer.pk)))


def _model(offer: ModelOffer, purchase: ModelPurchase | None) -> dict[str, Any]:
    return {
        "job_id": str(offer.job_id),
        "price": str(int(offer.price)),
        "to_individuals": str(offer.to_individuals),
        "to_collective": str(offer.to_collective),
        "datatoken": offer.asset.datatoken,
        "status": offer.status,
        "purchase": purchase.status if purchase else None,
    }


@extend_schema(tags=["models"], request=PurchaseIn, responses={201: ModelOut})
class Purchases(APIView):
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Buy a model for at most so much; download it when `purchase` is paid. The same again changes nothing."""
        if not request.user.has_role(Role.CONSUMER):
            raise SettlementError("not_a_consumer", "Buying needs the data consumer role.", status=403)
        body = PurchaseIn(data=request.data)
        body.is_valid(raise_exception=True)
        made = sales.buy(account=request.user, job_id=job_id, most=body.validated_data["most"])
        return Response(_model(made.offer, made), status=201)


@extend_schema(tags=["models"], request=OfferIn, responses={201: ModelOut})
class Offer(APIView):
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Offer the finished model of a job you paid yourself, or change its price."""
        refused_without(
            request, Role.OWNER, "Offering needs the collective owner role; add it in your account."
        )
        body = OfferIn(data=request.data)
        body.is_valid(raise_exception=True)
        made = sales.offer(actor=request.user, job_id=job_id, price=body.validated_data["price"])
        return Response(_model(made, None), status=201)


@extend_schema(tags=["models"], request=None, responses={204: None})
class OfferWithdraw(APIView):
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Take your model off the market at once. Who bought it keeps it."""
        sales.withdraw(actor=request.user, job_id=job_id)
        return Response(status=204)


@extend_schema(tags=["models"], responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
class File(APIView):
    def get(self, request: Request, job_id: uuid.UUID) -> HttpResponse:
        """The model file, for who paid for it."""
        found = sales.download(request.user, job_id)
        if found is None:
            raise SettlementError("not_bought", "You have not bought this model.", status=404)
        return model_file(found)
