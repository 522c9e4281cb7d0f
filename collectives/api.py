"""The public endpoints wallets use: terms, subscribe, leave, answer a notice. Each authenticates itself by a signature."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from collectives import selectors
from collectives.errors import CollectiveError
from collectives.services import notices, presence, subscriptions


class Public(APIView):
    """Open to anybody; what may change something carries its own signature."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]
    throttle_scope = "agents"


@extend_schema(responses=OpenApiTypes.OBJECT, tags=["collectives"])
class CollectiveList(Public):
    def get(self, request: Request) -> Response:
        """Active collectives: id, name, purpose, rate in base units, subscribers in steps."""
        cards = selectors.public_collectives(str(request.query_params.get("search", "")))
        return Response({"results": [_summary(card) for card in cards]})


@extend_schema(responses=OpenApiTypes.OBJECT, tags=["collectives"])
class CollectiveDetail(Public):
    def get(self, request: Request, collective_id: uuid.UUID) -> Response:
        card = selectors.card(collective_id)
        if card is None:
            raise _unknown()
        algorithms = [
            {
                "manifest_hash": a.algorithm.manifest_hash,
                "name": a.algorithm.name,
                "status": a.status,
                "effective": a.effective_at,
            }
            for a in card.admissions
        ]
        state = {"status": card.collective.status, "status_reason": card.collective.status_reason}
        return Response(_summary(card) | {"algorithms": algorithms} | state)


@extend_schema(responses=OpenApiTypes.OBJECT, tags=["wallets"])
class Terms(Public):
    def get(self, request: Request, collective_id: uuid.UUID) -> Response:
        """The signed terms a wallet reviews and pins."""
        envelope = selectors.terms_envelope(collective_id)
        if envelope is None:
            raise _unknown()
        return Response(envelope)


@extend_schema(request=OpenApiTypes.OBJECT, responses=OpenApiTypes.OBJECT, tags=["wallets"])
class Subscriptions(Public):
    def post(self, request: Request, collective_id: uuid.UUID) -> Response:
        """A signed subscription in, a signed permit out."""
        return Response(
            subscriptions.subscribe(collective_id=collective_id, envelope=request.data), status=201
        )


@extend_schema(request=OpenApiTypes.OBJECT, responses=OpenApiTypes.OBJECT, tags=["wallets"])
class Revocations(Public):
    def post(self, request: Request, collective_id: uuid.UUID) -> Response:
        """The wallet deleted its permit; idempotent."""
        subscriptions.revoke_by_holder(collective_id=collective_id, envelope=request.data)
        return Response({})


@extend_schema(request=OpenApiTypes.OBJECT, responses=OpenApiTypes.OBJECT, tags=["wallets"])
class Presence(Public):
    def post(self, request: Request, collective_id: uuid.UUID) -> Response:
        """The wallet's data changed: a signed statement that it is present; idempotent."""
        presence.restate(collective_id=collective_id, envelope=request.data)
        return Response({})


@extend_schema(request=OpenApiTypes.OBJECT, responses=OpenApiTypes.OBJECT, tags=["wallets"])
class NoticeAnswers(Public):
    def post(self, request: Request, collective_id: uuid.UUID) -> Response:
        """With, without, or leave."""
        notices.answer(collective_id=collective_id, envelope=request.data)
        return Response({})


def _unknown() -> CollectiveError:
    return CollectiveError("unknown_collective", "There is no such collective.", status=404)


def _summary(card: selectors.Card) -> dict[str, Any]:
    terms = card.terms.document
    return {
        "id": str(card.collective.pk),
        "name": terms["name"],
        "purpose": terms["purpose"],
        "rate": terms["rate"],
        "token": terms["token"],
        "subscribers": card.subscribers,
        "fields": list(card.fields),
        "bucket_min": terms["bucket_min"],
        "release_min": terms["release_min"],
        "notice_seconds": terms["notice_seconds"],
        "algorithm_class": terms["algorithm_class"],
        "agreed_manifests": terms["permitted_manifests"],
        "terms_hash": card.terms.hash,
    }
