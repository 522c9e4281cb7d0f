"""What an owner and an author do over REST: register, new terms, announce, rounds and jobs; submit an algorithm.

As in the console, numbers of people come in steps, and nothing here is per person.
"""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from collectives import selectors
from collectives.api import AlgorithmOut, CollectiveOut, algorithm_out, summary
from collectives.api_fields import BaseUnits, Strict
from collectives.api_owner import owned, refused_without
from collectives.errors import CollectiveError
from collectives.models import Admission, Algorithm, Job, Round
from collectives.paging import list_schema, paged
from collectives.services import algorithms, collectives
from collectives.terms.description import BUCKET_MIN_FLOOR, RELEASE_MIN_FLOOR

HASH = r"^[0-9a-f]{64}$"


class ElementsIn(Strict):
    """The elements of a collective; for a new version, those that change."""

    nothing_such = "Terms have no such element."
    name = serializers.CharField(max_length=120)
    purpose = serializers.CharField(max_length=500)
    task_description = serializers.CharField(max_length=10_000)
    requirement = serializers.DictField(
        help_text="JSON Schema of one record, in the profile of docs/protocol"
    )
    rate = BaseUnits(help_text="base units per visit, one of the rate tiers")
    not_for = serializers.CharField(max_length=500, required=False, allow_blank=True)
    notice_seconds = serializers.IntegerField(required=False, min_value=0, max_value=10**9)
    bucket_min = serializers.IntegerField(
        required=False,
        min_value=2,
        max_value=255,
        help_text=f"at least {BUCKET_MIN_FLOOR} outside development",
    )
    release_min = serializers.IntegerField(
        required=False,
        min_value=2,
        max_value=10**9,
        help_text=f"at least {RELEASE_MIN_FLOOR} outside development",
    )
    silence = serializers.ChoiceField(required=False, choices=["without", "with"])
    assurance = serializers.ChoiceField(required=False, choices=["declared", "attested"])
    order_policy = serializers.ChoiceField(required=False, choices=["open", "approval", "owner"])
    manifests = serializers.ListField(
        child=serializers.RegexField(HASH), required=False, help_text="algorithms a subscriber agrees to"
    )
    algorithm_class = serializers.DictField(required=False, allow_null=True)
    development = serializers.BooleanField(required=False)


class VersionOut(serializers.Serializer[Any]):
    version = serializers.IntegerField()
    hash = serializers.CharField()
    created = serializers.DateTimeField()
    subscribers = serializers.CharField(help_text="who hold this version, in steps")
    document = serializers.DictField()


class AnnounceIn(serializers.Serializer[Any]):
    manifest_hash = serializers.RegexField(HASH)
    reason = serializers.CharField(max_length=1000, help_text="every subscriber reads this")


class NoticeOut(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    manifest_hash = serializers.CharField()
    name = serializers.CharField()
    status = serializers.ChoiceField(choices=Admission.Status.choices)
    announced = serializers.DateTimeField()
    effective = serializers.DateTimeField()
    delivered = serializers.CharField(
        help_text="to how many wallets the notice was delivered, in steps; 'fewer than' the smallest group below it"
    )
    without = serializers.CharField(help_text="who go on without it, in steps")
    leaving = serializers.CharField(help_text="who left because of it, in steps")
    remaining = serializers.CharField(help_text="who would run it, in steps")
    enough = serializers.BooleanField(help_text="whether they reach the smallest group")


class RoundOut(serializers.Serializer[Any]):
    job_id = serializers.UUIDField()
    number = serializers.IntegerField()
    status = serializers.ChoiceField(choices=Round.Status.choices)
    reason = serializers.CharField()
    visits = serializers.IntegerField(help_text="paid")
    in_the_sum = serializers.IntegerField()
    dropped_out = serializers.IntegerField()
    ended = serializers.DateTimeField()


class OwnersJobOut(serializers.Serializer[Any]):
    job_id = serializers.UUIDField()
    manifest_hash = serializers.CharField()
    status = serializers.ChoiceField(choices=Job.Status.choices)
    rounds_done = serializers.IntegerField()
    max_rounds = serializers.IntegerField()
    visits_earned = serializers.IntegerField()
    visits_budget = serializers.IntegerField()
    created = serializers.DateTimeField()


class ManifestIn(serializers.Serializer[Any]):
    manifest = serializers.DictField(help_text="see docs/algorithms.md")
    name = serializers.CharField(required=False, max_length=120, allow_blank=True, default="")


class MyCollectives(APIView):
    @list_schema(CollectiveOut, by="offset", tags=["owners"])
    def get(self, request: Request) -> Response:
        """The collectives you own."""
        return paged(request, selectors.in_order(selectors.owned_by(request.user), "name"), summary)

    @extend_schema(tags=["owners"], request=ElementsIn, responses={201: CollectiveOut})
    def post(self, request: Request) -> Response:
        """Register a collective: the platform makes its key and signs the first terms."""
        refused_without(
            request, "owner", "Registering needs the collective owner role; add it in your account."
        )
        body = ElementsIn(data=request.data)
        body.is_valid(raise_exception=True)
        made = collectives.register(actor=request.user, **body.validated_data)
        card = selectors.card(made.pk)
        assert card is not None  # just made, in one transaction with its terms
        return Response(summary(card), status=201)


class Versions(APIView):
    @list_schema(VersionOut, by="offset", tags=["owners"])
    def get(self, request: Request, collective_id: uuid.UUID) -> Response:
        """Every version of the terms, newest first, with how many hold it in steps."""
        return paged(request, selectors.versions(owned(request, collective_id)), _version)

    @extend_schema(tags=["owners"], request=ElementsIn(partial=True), responses={201: VersionOut})
    def post(self, request: Request, collective_id: uuid.UUID) -> Response:
        """Sign a new version; send only what changes. Who subscribed before keeps the version their wallet signed."""
        collective = owned(request, collective_id)
        body = ElementsIn(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        collectives.propose_terms(actor=request.user, collective=collective, **body.validated_data)
        return Response(_version(selectors.versions(collective)[0]), status=201)


class Announcements(APIView):
    @list_schema(NoticeOut, by="offset", tags=["owners"])
    def get(self, request: Request, collective_id: uuid.UUID) -> Response:
        """The algorithms announced here, and how many go on without them, left, or remain."""
        return paged(request, _numbers(owned(request, collective_id)), _notice)

    @extend_schema(tags=["owners"], request=AnnounceIn, responses={201: NoticeOut})
    def post(self, request: Request, collective_id: uuid.UUID) -> Response:
        """Announce an approved algorithm: every subscriber is told, and it runs after the notice period, never earlier."""
        collective = owned(request, collective_id)
        body = AnnounceIn(data=request.data)
        body.is_valid(raise_exception=True)
        found = Algorithm.objects.filter(manifest_hash=body.validated_data["manifest_hash"]).first()
        if found is None:
            raise CollectiveError("unknown_algorithm", "There is no algorithm of this hash.", status=404)
        made = algorithms.announce(
            actor=request.user,
            collective=collective,
            algorithm=found,
            reason=body.validated_data["reason"],
        )
        return Response(
            _notice(next(n for n in _numbers(collective) if n.admission.pk == made.pk)), status=201
        )


@extend_schema(tags=["owners"], request=None, responses={204: None})
class Withdraw(APIView):
    def post(self, request: Request, collective_id: uuid.UUID, admission_id: uuid.UUID) -> Response:
        """Take an announced algorithm back: no new job may use it. Repeating it changes nothing."""
        collective = owned(request, collective_id)
        found = Admission.objects.filter(collective=collective, pk=admission_id).first()
        if found is None:
            raise CollectiveError("unknown_notice", "You announced no such algorithm.", status=404)
        algorithms.withdraw(actor=request.user, admission=found)
        return Response(status=204)


class OwnersJobs(APIView):
    @list_schema(OwnersJobOut, tags=["owners"])
    def get(self, request: Request, collective_id: uuid.UUID) -> Response:
        """Training jobs with this collective, newest first. Who ordered them is not said."""
        return paged(request, selectors.jobs_of(owned(request, collective_id).pk), _job)


class Rounds(APIView):
    @list_schema(RoundOut, tags=["owners"])
    def get(self, request: Request, collective_id: uuid.UUID) -> Response:
        """Closed rounds, newest first: exact numbers of wallets, never who."""
        rows = selectors.closed_rounds(owned(request, collective_id).pk, limit=None)
        return paged(request, rows, round_out, ordering=("-ended_at", "-pk"))


class MyAlgorithms(APIView):
    @list_schema(AlgorithmOut, tags=["authors"])
    def get(self, request: Request) -> Response:
        """The algorithms you submitted, newest first, with what the review said."""
        rows = selectors.algorithms_by(request.user).prefetch_related("admissions")
        return paged(request, rows, algorithm_out)

    @extend_schema(tags=["authors"], request=ManifestIn, responses={201: AlgorithmOut})
    def post(self, request: Request) -> Response:
        """Submit a manifest for review; the same manifest again is the same algorithm."""
        refused_without(
            request, "author", "Submitting needs the algorithm author role; add it in your account."
        )
        body = ManifestIn(data=request.data)
        body.is_valid(raise_exception=True)
        made = algorithms.submit(actor=request.user, **body.validated_data)
        return Response(algorithm_out(made), status=201)


def _numbers(collective: Any) -> list[selectors.NoticeNumbers]:
    newest = collective.terms.first()
    return selectors.notice_numbers(collective, newest.document["release_min"])


def _version(use: selectors.VersionUse) -> dict[str, Any]:
    row = use.version
    return {
        "version": row.version,
        "hash": row.hash,
        "created": row.created_at,
        "subscribers": use.subscribers,
        "document": row.document,
    }


def _notice(numbers: selectors.NoticeNumbers) -> dict[str, Any]:
    row = numbers.admission
    return {
        "id": str(row.pk),
        "manifest_hash": row.algorithm.manifest_hash,
        "name": row.algorithm.name,
        "status": row.status,
        "announced": row.announced_at,
        "effective": row.effective_at,
        "delivered": numbers.delivered,
        "without": numbers.without,
        "leaving": numbers.leaving,
        "remaining": numbers.remaining,
        "enough": numbers.enough,
    }


def _job(job: Any) -> dict[str, Any]:
    return {
        "job_id": str(job.pk),
        "manifest_hash": job.algorithm.manifest_hash,
        "status": job.status,
        "rounds_done": job.done,
        "max_rounds": job.max_rounds,
        "visits_earned": job.visits_earned,
        "visits_budget": job.visits_budget,
        "created": job.created_at,
    }


def round_out(row: Round) -> dict[str, Any]:
    """A closed round in numbers, for its owner and for who ordered it alike."""
    return {
        "job_id": str(row.job_id),
        "number": row.number,
        "status": row.status,
        "reason": row.reason,
        "visits": row.receipts,
        "in_the_sum": row.survivors,
        "dropped_out": max(0, row.joined - row.survivors),
        "ended": row.ended_at,
    }
