"""The public endpoints of pairing: the server's description, a wallet that pairs, a wallet that says what it did."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from marketplace.individuals import services
from marketplace.individuals.server_description import describe


class HexField(serializers.RegexField):
    def __init__(self, size: int, **options: Any) -> None:
        words = {"invalid": f"This must be {size} bytes in lower-case hex."}
        super().__init__(rf"^[0-9a-f]{{{2 * size}}}$", error_messages=words, **options)


class ServerSerializer(serializers.Serializer[Any]):
    version = serializers.IntegerField()
    distributor_key = serializers.CharField()
    distributor_socket = serializers.CharField()
    aggregator_key = serializers.CharField()
    aggregator_seal_key = serializers.CharField()
    aggregator_socket = serializers.CharField()
    api = serializers.CharField()
    chain_id = serializers.IntegerField()
    registry = serializers.CharField()


class PairSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(max_length=40)
    mailbox_key = HexField(32)
    created = serializers.IntegerField(min_value=0)
    signature = HexField(64)


class PairedSerializer(serializers.Serializer[Any]):
    server = ServerSerializer()
    account_label = serializers.CharField()


class LinkSerializer(serializers.Serializer[Any]):
    offer_ref = serializers.CharField(max_length=64)
    mailbox_key = HexField(32)
    collective_id = serializers.UUIDField()
    subscription_key = serializers.RegexField(r"^([0-9a-f]{64})?$", allow_blank=True)
    state = serializers.ChoiceField(choices=["subscribed", "declined", "revoked"])
    created = serializers.IntegerField(min_value=0)
    signature = HexField(64)


class MoveSerializer(serializers.Serializer[Any]):
    mailbox_key = HexField(32)
    new_mailbox_key = HexField(32)
    created = serializers.IntegerField(min_value=0)
    signature = HexField(64)
    new_signature = HexField(64)


class Public(APIView):
    """Open to anybody; what changes something carries the wallet's signature."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]
    throttle_scope = "agents"


class ServerView(Public):
    @extend_schema(responses=ServerSerializer, tags=["wallets"])
    def get(self, request: Request) -> Response:
        """Keys and addresses of this server. A pairing link carries the SHA-256 of this document's RFC 8785 form."""
        return Response(describe())


class PairView(Public):
    @extend_schema(request=PairSerializer, responses=PairedSerializer, tags=["wallets"])
    def post(self, request: Request) -> Response:
        """A wallet shows a one-time code and proves its mailbox key."""
        values = _checked(PairSerializer(data=request.data))
        wallet = services.complete_pairing(**values)
        return Response({"server": describe(), "account_label": _masked(wallet.account.email)})


class LinkView(Public):
    @extend_schema(request=LinkSerializer, responses={200: dict}, tags=["wallets"])
    def post(self, request: Request) -> Response:
        """A wallet says what it did with an offer, for the person's own page."""
        services.record_link(**_checked(LinkSerializer(data=request.data)))
        return Response({})


class MoveView(Public):
    @extend_schema(request=MoveSerializer, responses={200: dict}, tags=["wallets"])
    def post(self, request: Request) -> Response:
        """A wallet that was restored elsewhere takes a mailbox key of its own; waiting mail goes along."""
        services.move_wallet(**_checked(MoveSerializer(data=request.data)))
        return Response({})


def _checked(serializer: serializers.Serializer[Any]) -> dict[str, Any]:
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


def _masked(email: str) -> str:
    """Enough for the holder to know which account it is, not enough to be one: a…e@example.org."""
    name, _, host = email.partition("@")
    return f"{name[:1]}…{name[-1:]}@{host}"
