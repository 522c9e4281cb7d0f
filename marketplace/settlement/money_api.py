"""A consumer's funds and an owner's settlement totals, over REST. Nothing names a person or a visit."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from collectives.api_fields import BaseUnits
from collectives.api_owner import owned, refused_without
from collectives.paging import list_schema, paged
from marketplace.accounts.models import Role
from marketplace.settlement import selectors, services
from marketplace.settlement.errors import SettlementError
from marketplace.settlement.forms import FAUCET_MOST
from marketplace.settlement.views import epochs_of

UNIT = 10**18
SUMS = ("in_escrow", "reserved", "unsettled", "spent", "refundable")


class FundsOut(serializers.Serializer[Any]):
    """Base units as decimal strings."""

    address = serializers.CharField(
        allow_null=True, help_text="null before the first job or the first tokens"
    )
    balance = serializers.CharField(allow_null=True, help_text="null while the chain does not answer")
    in_escrow = serializers.CharField(help_text="of running jobs, not settled yet")
    reserved = serializers.CharField(help_text="of it, promised to rounds that run now")
    unsettled = serializers.CharField(help_text="of it, earned by visits and paid with the next epoch")
    spent = serializers.CharField(help_text="settled visits")
    refundable = serializers.CharField(help_text="what would come back if every job ended now")
    token = serializers.CharField()


class TransactionOut(serializers.Serializer[Any]):
    purpose = serializers.CharField()
    state = serializers.CharField()
    hash = serializers.CharField(help_text="empty before it is sent")
    created = serializers.DateTimeField()


class AmountIn(serializers.Serializer[Any]):
    amount = BaseUnits(help_text="base units, as a decimal string")


class EpochOut(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    status = serializers.CharField()
    jobs = serializers.IntegerField()
    visits = serializers.IntegerField()
    amount = serializers.CharField(help_text="base units, for these visits")
    closed = serializers.DateTimeField()


@extend_schema(tags=["money"])
class Funds(APIView):
    @extend_schema(responses=FundsOut)
    def get(self, request: Request) -> Response:
        """What you have: in your wallet, in escrow, spent, and what would come back."""
        return Response(_funds(request.user))

    @extend_schema(request=AmountIn, responses={202: FundsOut})
    def post(self, request: Request) -> Response:
        """Development tokens, where this site has a faucet; they arrive when the chain has confirmed them."""
        refused_without(request, Role.CONSUMER, "Funds need the data consumer role; add it in your account.")
        body = AmountIn(data=request.data)
        body.is_valid(raise_exception=True)
        amount = body.validated_data["amount"]
        if amount > FAUCET_MOST * UNIT:
            raise SettlementError(
                "bad_amount", "At most %(most)s tokens at once.", status=400, most=FAUCET_MOST
            )
        services.faucet(request.user, amount)
        return Response(_funds(request.user), status=202)


def _funds(account: Any) -> dict[str, Any]:
    money = selectors.funds(account)
    return {
        "address": money["wallet"].address if money["wallet"] else None,
        "balance": None if money["balance"] is None else str(money["balance"]),
        **{name: str(money[name]) for name in SUMS},
        "token": settings.TOKEN_SYMBOL,
    }


class Transactions(APIView):
    @list_schema(TransactionOut, tags=["money"])
    def get(self, request: Request) -> Response:
        """The transactions of your wallet, newest first."""
        return paged(request, selectors.transactions_of(request.user), _transaction, ordering=("-pk",))


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
        return paged(request, epochs_of(owned(request, collective_id).pk), _epoch)


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
