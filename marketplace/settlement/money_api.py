"""A consumer's funds, an owner's settlement totals and models for sale, over REST. Nothing names a person or a visit."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from collectives import selectors as collectives
from collectives.paging import list_schema, paged
from marketplace.accounts.models import Role
from marketplace.settlement import sales, selectors, services
from marketplace.settlement.errors import SettlementError
from marketplace.settlement.forms import FAUCET_MOST
from marketplace.settlement.views import epochs_of

UNIT = 10**18
AMOUNT = r"^[1-9][0-9]{0,37}$"


class FundsOut(serializers.Serializer[Any]):
    """Base units as decimal strings."""

    address = serializers.CharField(
        allow_null=True, help_text="null before the first job or the first tokens"
    )
    balance = serializers.CharField(allow_null=True, help_text="null while the chain does not answer")
    in_escrow = serializers.CharField()
    spent = serializers.CharField()
    refundable = serializers.CharField(help_text="of what is in escrow, not spent yet")
    token = serializers.CharField()


class TransactionOut(serializers.Serializer[Any]):
    purpose = serializers.CharField()
    state = serializers.CharField()
    hash = serializers.CharField(help_text="empty before it is sent")
    created = serializers.DateTimeField()


class AmountIn(serializers.Serializer[Any]):
    amount = serializers.RegexField(AMOUNT, help_text="base units, as a decimal string")


class EpochOut(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    status = serializers.CharField()
    jobs = serializers.IntegerField()
    visits = serializers.IntegerField()
    amount = serializers.CharField(help_text="base units, for these visits")
    closed = serializers.DateTimeField()


class OfferIn(serializers.Serializer[Any]):
    price = serializers.RegexField(AMOUNT, help_text="base units, as a decimal string")


class OfferOut(serializers.Serializer[Any]):
    job_id = serializers.UUIDField()
    price = serializers.CharField()
    status = serializers.CharField()


def _needs(request: Request, role: Role, sentence: str) -> None:
    if not request.user.has_role(role):
        raise SettlementError("role_missing", sentence, status=403)


@extend_schema(tags=["money"])
class Funds(APIView):
    @extend_schema(responses=FundsOut)
    def get(self, request: Request) -> Response:
        """What you have: in your wallet, in escrow, spent, and what would come back."""
        return Response(_funds(request.user))

    @extend_schema(request=AmountIn, responses={202: FundsOut})
    def post(self, request: Request) -> Response:
        """Development tokens, where this site has a faucet; they arrive when the chain has confirmed them."""
        _needs(request, Role.CONSUMER, "Funds need the data consumer role; add it in your account.")
        body = AmountIn(data=request.data)
        body.is_valid(raise_exception=True)
        amount = int(body.validated_data["amount"])
        if amount > FAUCET_MOST * UNIT:
            raise SettlementError("bad_amount", f"At most {FAUCET_MOST:,} tokens at once.", status=400)
        services.faucet(request.user, amount)
        return Response(_funds(request.user), status=202)


def _funds(account: Any) -> dict[str, Any]:
    money = selectors.funds(account)
    return {
        "address": money["wallet"].address if money["wallet"] else None,
        "balance": None if money["balance"] is None else str(money["balance"]),
        **{name: str(money[name]) for name in ("in_escrow", "spent", "refundable")},
        "token": settings.TOKEN_SYMBOL,
    }


class Transactions(APIView):
    @list_schema(TransactionOut, by="offset", tags=["money"])
    def get(self, request: Request) -> Response:
        """The last transactions of your wallet, newest first."""
        return paged(request, selectors.funds(request.user)["transactions"], _transaction)


def _transaction(row: Any) -> dict[str, Any]:
    return {
        "purpose": row.key.partition(":")[0],
        "state": row.state,
        "hash": row.hash,
        "created": row.created_at,
    }


class Settlement(APIView):
    @list_schema(EpochOut, by="offset", tags=["owners"])
    def get(self, request: Request, collective_id: uuid.UUID) -> Response:
        """Visits and amounts of your collective for each settlement epoch; there is no line per person."""
        if collectives.owned(request.user, collective_id) is None:
            raise SettlementError("unknown_collective", "You own no such collective.", status=404)
        return paged(request, epochs_of(collective_id), _epoch)


def _epoch(row: dict[str, Any]) -> dict[str, Any]:
    epoch = row["epoch"]
    return {
        "number": epoch.number,
        "status": epoch.status,
        "jobs": row["jobs"],
        "visits": row["visits"],
        "amount": str(row["amount"]),
        "closed": epoch.created_at,
    }


@extend_schema(tags=["models"])
class Offer(APIView):
    @extend_schema(request=OfferIn, responses={201: OfferOut})
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Offer the finished model of a job you paid yourself, or change its price."""
        _needs(request, Role.OWNER, "Offering needs the collective owner role; add it in your account.")
        body = OfferIn(data=request.data)
        body.is_valid(raise_exception=True)
        made = sales.offer(actor=request.user, job_id=job_id, price=int(body.validated_data["price"]))
        shown = {"job_id": str(made.job_id), "price": str(int(made.price)), "status": made.status}
        return Response(shown, status=201)


@extend_schema(tags=["models"], request=None, responses={204: None})
class OfferWithdraw(APIView):
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Take your model off the market at once. Who bought it keeps it."""
        sales.withdraw(actor=request.user, job_id=job_id)
        return Response(status=204)
