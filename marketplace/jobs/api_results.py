"""What comes of a job, over REST: rounds, events, checkpoints to download, the model card, metrics, two jobs side by side."""

from __future__ import annotations

import uuid
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from collectives import selectors
from collectives.api_console import RoundOut, round_out
from collectives.models import Checkpoint, JobTransition, Round
from collectives.paging import list_schema, paged
from collectives.selectors.findings import findings
from collectives.terms.algorithm import parse_manifest
from collectives.training.checkpoint import write_file
from marketplace.jobs import model_card, services
from marketplace.jobs.api import own_order
from marketplace.jobs.errors import OrderError
from marketplace.jobs.models import Metric, Order


class CheckpointOut(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    hash = serializers.CharField()
    wallets = serializers.IntegerField(help_text="in the sum of this step")
    created = serializers.DateTimeField()


class EventOut(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    before = serializers.CharField(help_text="the status before")
    after = serializers.CharField()
    reason = serializers.CharField()


class MetricIn(serializers.Serializer[Any]):
    checkpoint = serializers.IntegerField(min_value=0, max_value=2**31 - 1)
    name = serializers.CharField(max_length=40)
    value = serializers.FloatField()


class MetricOut(MetricIn):
    reported = serializers.DateTimeField()


class ComparedOut(serializers.Serializer[Any]):
    label = serializers.CharField()
    before = serializers.CharField(help_text="the first job")
    after = serializers.CharField(help_text="the other job")
    same = serializers.BooleanField()


class Checkpoints(APIView):
    @list_schema(CheckpointOut, tags=["jobs"])
    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        """The checkpoints so far; download any of them at any time."""
        rows = selectors.checkpoints(own_order(request, job_id).job_id)
        return paged(request, rows, _checkpoint, ordering=("number",))


def _checkpoint(row: Checkpoint) -> dict[str, Any]:
    return {"number": row.number, "hash": row.hash, "wallets": row.wallets, "created": row.created_at}


class Rounds(APIView):
    @list_schema(RoundOut, tags=["jobs"])
    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        """Closed rounds, newest first, in exact numbers; of the open one only the job's sentence speaks."""
        rows = Round.objects.filter(job_id=own_order(request, job_id).job_id, status__in=selectors.CLOSED)
        return paged(request, rows, round_out, ordering=("-number",))


class Events(APIView):
    @list_schema(EventOut, tags=["jobs"])
    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        """What became of the job and why, newest first."""
        rows = JobTransition.objects.filter(job_id=own_order(request, job_id).job_id)
        return paged(request, rows, _event, ordering=("-at", "-pk"))


def _event(row: JobTransition) -> dict[str, Any]:
    return {"at": row.at, "before": row.before, "after": row.after, "reason": row.reason}


@extend_schema(tags=["jobs"], responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
class CheckpointFile(APIView):
    def get(self, request: Request, job_id: uuid.UUID, number: int) -> HttpResponse:
        """The model file: see collectives/training/checkpoint.py for its format."""
        return checkpoint_file(own_order(request, job_id), number)


def checkpoint_file(order: Order, number: int) -> HttpResponse:
    """A checkpoint as a download, for the API and the page alike."""
    found = (
        Checkpoint.objects.select_related("job__algorithm").filter(job_id=order.job_id, number=number).first()
    )
    if found is None:
        raise OrderError(
            "no_checkpoint", "There is no checkpoint %(number)s of this job.", status=404, number=number
        )
    facts: dict[str, Any] = {
        "wallets": found.wallets,
        "aggregate_hash": found.aggregate_hash,
        "job_id": str(order.job_id),
    }
    manifest = found.job.algorithm.manifest
    facts["findings"] = findings(manifest, found)
    body = write_file(parse_manifest(manifest), number, bytes(found.weights), facts)
    answer = HttpResponse(body, content_type="application/octet-stream")
    answer["Content-Disposition"] = f'attachment; filename="model-{str(order.job_id)[:8]}-{number}.cssi"'
    return answer


@extend_schema(tags=["jobs"], responses=OpenApiTypes.OBJECT)
class Card(APIView):
    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        """The model card: fields, rounds, cohort sizes, privacy, hashes of terms and manifest, consent, metrics."""
        return Response(model_card.build(own_order(request, job_id)))


@extend_schema(tags=["jobs"], responses=ComparedOut(many=True))
class Compare(APIView):
    def get(self, request: Request, job_id: uuid.UUID, other_id: uuid.UUID) -> Response:
        """Two jobs of yours side by side, as their model cards say it."""
        cards = [model_card.build(own_order(request, found)) for found in (job_id, other_id)]
        return Response(model_card.compare(*cards))


class Metrics(APIView):
    @list_schema(MetricOut, tags=["jobs"])
    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        """What you reported, the newest report first."""
        rows = own_order(request, job_id).metrics.all()
        return paged(request, rows, _metric, ordering=("-reported_at", "-pk"))

    @extend_schema(tags=["jobs"], request=MetricIn, responses={201: MetricIn})
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Report what you measured for a checkpoint on data of your own; it is drawn on the live page."""
        body = MetricIn(data=request.data)
        body.is_valid(raise_exception=True)
        services.report_metric(order=own_order(request, job_id), actor=request.user, **body.validated_data)
        return Response(body.validated_data, status=201)


def _metric(row: Metric) -> dict[str, Any]:
    return {"checkpoint": row.checkpoint, "name": row.name, "value": row.value, "reported": row.reported_at}
