"""The public endpoints: the catalogue, and what wallets use, who authenticate by a signature: terms, subscribe, leave, answer."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from collectives import selectors
from collectives.api_fields import BaseUnits
from collectives.errors import CollectiveError
from collectives.models import Admission, Algorithm
from collectives.paging import list_schema, paged
from collectives.services import notices, presence, subscriptions


class Public(APIView):
    """Open to anybody; what may change something carries its own signature."""

    authentication_classes: list[Any] = []
    permission_classes = [AllowAny]
    throttle_scope = "agents"


class CollectiveOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    name = serializers.CharField()
    purpose = serializers.CharField()
    rate = serializers.CharField(help_text="base units per visit")
    token = serializers.CharField()
    subscribers = serializers.CharField(help_text="in steps: 300+")
    # What the API has called it from the beginning. DRF collects declared fields and takes them off the class, so the
    # property `fields` of every serializer stays; only the types see two things of one name.
    fields = serializers.ListField(child=serializers.CharField(), help_text="what people read")  # type: ignore[assignment]
    bucket_min = serializers.IntegerField(help_text="wallets in the smallest sum the aggregator reads")
    release_min = serializers.IntegerField(help_text="wallets in the smallest sum the model is made of")
    notice_seconds = serializers.IntegerField()
    algorithm_class = serializers.DictField(
        allow_null=True, help_text="what bounds algorithms announced later"
    )
    agreed_manifests = serializers.ListField(child=serializers.CharField())
    terms_hash = serializers.CharField()


class AnnouncedOut(serializers.Serializer[Any]):
    manifest_hash = serializers.CharField()
    name = serializers.CharField()
    status = serializers.ChoiceField(choices=Admission.Status.choices)
    effective = serializers.DateTimeField(help_text="runs from then on, never earlier")


class CardOut(CollectiveOut):
    algorithms = AnnouncedOut(many=True)
    status = serializers.CharField()
    status_reason = serializers.CharField(help_text="why it is suspended; else empty")


class AlgorithmOut(serializers.Serializer[Any]):
    manifest_hash = serializers.CharField()
    name = serializers.CharField()
    parameters = serializers.IntegerField()
    status = serializers.ChoiceField(choices=Algorithm.Status.choices)
    reason = serializers.CharField(help_text="why it was returned; else empty")
    manifest = serializers.DictField()
    collectives = serializers.ListField(child=serializers.UUIDField(), help_text="those that announced it")


class EnvelopeOut(serializers.Serializer[Any]):
    kind = serializers.CharField()
    document = serializers.DictField()
    key = serializers.CharField()
    signature = serializers.CharField()


class WantedIn(serializers.Serializer[Any]):
    """The catalogue's filters; what is left out filters nothing."""

    search = serializers.CharField(required=False, max_length=100, allow_blank=True, default="")
    field = serializers.CharField(required=False, max_length=60, help_text="a word of a data field")
    rate = BaseUnits(required=False, help_text="base units, exactly this rate")
    cohort = serializers.IntegerField(
        required=False, min_value=1, max_value=10**9, help_text="smallest group at least"
    )
    assurance = serializers.ChoiceField(required=False, choices=["attested", "declared"])
    orders = serializers.ChoiceField(required=False, choices=["open", "approval", "owner"])
    sort = serializers.ChoiceField(required=False, choices=sorted(selectors.ORDER_BY), default="name")


class CollectiveList(Public):
    @list_schema(CollectiveOut, by="offset", tags=["collectives"], parameters=[WantedIn])
    def get(self, request: Request) -> Response:
        """Active collectives, filtered and sorted as in the catalogue."""
        asked = WantedIn(data=request.query_params)
        asked.is_valid(raise_exception=True)
        wanted = asked.validated_data
        found = selectors.matching(selectors.public_collectives(wanted["search"]), wanted)
        return paged(request, selectors.in_order(found, wanted["sort"]), summary)


@extend_schema(responses=CardOut, tags=["collectives"])
class CollectiveDetail(Public):
    def get(self, request: Request, collective_id: uuid.UUID) -> Response:
        """One collective, also a suspended one, with the algorithms it announced."""
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
        return Response(summary(card) | {"algorithms": algorithms} | state)


class AlgorithmList(Public):
    @list_schema(
        AlgorithmOut,
        tags=["algorithms"],
        parameters=[OpenApiParameter("search", str, description="a part of the name")],
    )
    def get(self, request: Request) -> Response:
        """Approved algorithms, newest first."""
        word = str(request.query_params.get("search", "")).replace("\x00", "")
        return paged(request, selectors.public_algorithms(word), algorithm_out)


@extend_schema(responses=AlgorithmOut, tags=["algorithms"])
class AlgorithmDetail(Public):
    def get(self, request: Request, manifest_hash: str) -> Response:
        """An approved algorithm by the hash of its manifest."""
        found = selectors.algorithm(manifest_hash)
        if found is None:
            raise CollectiveError(
                "unknown_algorithm", "There is no approved algorithm of this hash.", status=404
            )
        return Response(algorithm_out(found))


@extend_schema(responses=EnvelopeOut, tags=["wallets"])
class Terms(Public):
    def get(self, request: Request, collective_id: uuid.UUID) -> Response:
        """The signed terms a wallet reviews and pins."""
        envelope = selectors.terms_envelope(collective_id)
        if envelope is None:
            raise _unknown()
        return Response(envelope)


@extend_schema(request=EnvelopeOut, responses={201: OpenApiTypes.OBJECT}, tags=["wallets"])
class Subscriptions(Public):
    def post(self, request: Request, collective_id: uuid.UUID) -> Response:
        """A signed subscription in, a signed permit out."""
        return Response(
            subscriptions.subscribe(collective_id=collective_id, envelope=request.data), status=201
        )


@extend_schema(request=EnvelopeOut, responses=OpenApiTypes.OBJECT, tags=["wallets"])
class Revocations(Public):
    def post(self, request: Request, collective_id: uuid.UUID) -> Response:
        """The wallet deleted its permit; idempotent."""
        subscriptions.revoke_by_holder(collective_id=collective_id, envelope=request.data)
        return Response({})


@extend_schema(request=EnvelopeOut, responses=OpenApiTypes.OBJECT, tags=["wallets"])
class Presence(Public):
    def post(self, request: Request, collective_id: uuid.UUID) -> Response:
        """The wallet's data changed: a signed statement that it is present; idempotent."""
        presence.restate(collective_id=collective_id, envelope=request.data)
        return Response({})


@extend_schema(request=EnvelopeOut, responses=OpenApiTypes.OBJECT, tags=["wallets"])
class NoticeAnswers(Public):
    def post(self, request: Request, collective_id: uuid.UUID) -> Response:
        """With, without, or leave."""
        notices.answer(collective_id=collective_id, envelope=request.data)
        return Response({})


def _unknown() -> CollectiveError:
    return CollectiveError("unknown_collective", "There is no such collective.", status=404)


def summary(card: selectors.Card) -> dict[str, Any]:
    """A collective as its entry in the catalogue says it."""
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


def algorithm_out(found: Algorithm) -> dict[str, Any]:
    """An algorithm with its manifest, which says what it computes."""
    live = [a for a in found.admissions.all() if a.status != Admission.Status.WITHDRAWN]
    return {
        "manifest_hash": found.manifest_hash,
        "name": found.name,
        "parameters": found.parameters,
        "status": found.status,
        "reason": found.reason,
        "manifest": found.manifest,
        "collectives": [str(a.collective_id) for a in live],
    }
