"""What a data consumer does, over REST: order, fund, watch, stop, download checkpoints, report metrics."""

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
from collectives.models import Checkpoint
from collectives.terms.algorithm import parse_manifest
from collectives.training.checkpoint import write_file
from marketplace.jobs import live, services
from marketplace.jobs.errors import OrderError
from marketplace.jobs.models import Order


class OrderIn(serializers.Serializer[Any]):
    collective_id = serializers.UUIDField()
    manifest_hash = serializers.RegexField(r"^[0-9a-f]{64}$")
    budget = serializers.RegexField(r"^[1-9][0-9]{0,37}$", help_text="base units, as a decimal string")
    max_rounds = serializers.IntegerField(min_value=1, max_value=100_000)


class MetricIn(serializers.Serializer[Any]):
    checkpoint = serializers.IntegerField(min_value=0)
    name = serializers.CharField(max_length=40)
    value = serializers.FloatField()


def _order(request: Request, job_id: uuid.UUID) -> Order:
    found = Order.objects.filter(job_id=job_id, consumer=request.user).first()
    if found is None:
        raise OrderError("unknown_job", "You have no such job.", status=404)
    return found


def _state(order: Order) -> dict[str, Any]:
    shown = live.context(order)
    return {
        "job_id": str(order.job_id),
        "collective_id": str(order.collective_id),
        "status": shown["job"].status,
        "sentence": shown["sentence"],
        "budget": str(int(order.budget)),
        "rate": str(int(order.rate)),
        "visits": shown["budget"],
        "rounds_done": shown["rounds_done"],
        "max_rounds": shown["job"].max_rounds,
    }


@extend_schema(tags=["jobs"])
class Jobs(APIView):
    @extend_schema(responses=OpenApiTypes.OBJECT)
    def get(self, request: Request) -> Response:
        """Your jobs, newest first."""
        return Response({"results": [_state(order) for order in Order.objects.filter(consumer=request.user)]})

    @extend_schema(request=OrderIn, responses=OpenApiTypes.OBJECT)
    def post(self, request: Request) -> Response:
        """Order a job; fund it next."""
        body = OrderIn(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = dict(body.validated_data)
        wanted["budget"] = int(wanted["budget"])
        return Response(_state(services.order(consumer=request.user, **wanted)), status=201)


@extend_schema(tags=["jobs"], responses=OpenApiTypes.OBJECT)
class JobDetail(APIView):
    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        return Response(_state(_order(request, job_id)))


@extend_schema(tags=["jobs"], request=None, responses=OpenApiTypes.OBJECT)
class Fund(APIView):
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Put the budget into escrow; the job begins when the chain has confirmed it."""
        order = _order(request, job_id)
        services.fund(order=order, actor=request.user)
        return Response(_state(order))


@extend_schema(tags=["jobs"], request=None, responses=OpenApiTypes.OBJECT)
class Stop(APIView):
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Stop after the running round."""
        order = _order(request, job_id)
        services.stop(order=order, actor=request.user)
        return Response(_state(order))


@extend_schema(tags=["jobs"], responses=OpenApiTypes.OBJECT)
class Checkpoints(APIView):
    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        """The checkpoints so far; download any of them at any time."""
        order = _order(request, job_id)
        rows = [
            {"number": c.number, "hash": c.hash, "wallets": c.wallets, "created": c.created_at}
            for c in selectors.checkpoints(order.job_id)
        ]
        return Response({"results": rows})


@extend_schema(tags=["jobs"], responses=OpenApiTypes.BINARY)
class CheckpointFile(APIView):
    def get(self, request: Request, job_id: uuid.UUID, number: int) -> HttpResponse:
        """The model file: see collectives/training/checkpoint.py for its format."""
        return checkpoint_file(_order(request, job_id), number)


def checkpoint_file(order: Order, number: int) -> HttpResponse:
    """A checkpoint as a download, for the API and the page alike."""
    found = (
        Checkpoint.objects.select_related("job__algorithm").filter(job_id=order.job_id, number=number).first()
    )
    if found is None:
        raise OrderError("no_checkpoint", f"There is no checkpoint {number} of this job.", status=404)
    facts = {"wallets": found.wallets, "aggregate_hash": found.aggregate_hash, "job_id": str(order.job_id)}
    body = write_file(parse_manifest(found.job.algorithm.manifest), number, bytes(found.weights), facts)
    answer = HttpResponse(body, content_type="application/octet-stream")
    answer["Content-Disposition"] = f'attachment; filename="model-{str(order.job_id)[:8]}-{number}.cssi"'
    return answer


@extend_schema(tags=["jobs"], request=MetricIn, responses=OpenApiTypes.OBJECT)
class Metrics(APIView):
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Report what you measured for a checkpoint on data of your own; it is drawn on the live page."""
        body = MetricIn(data=request.data)
        body.is_valid(raise_exception=True)
        services.report_metric(order=_order(request, job_id), actor=request.user, **body.validated_data)
        return Response({}, status=201)
