"""What a data consumer does, over REST: order, fund, watch, stop, download checkpoints, report metrics."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from collectives import selectors
from collectives.models import Checkpoint, Job
from collectives.selectors.findings import findings
from collectives.terms.algorithm import parse_manifest
from collectives.training.checkpoint import write_file
from collectives.training.update import OPTIMISERS
from marketplace.jobs import live, model_card, services
from marketplace.jobs.errors import OrderError
from marketplace.jobs.models import Order
from marketplace.jobs.stop_rule import StopRule

IDEMPOTENCY = "Idempotency-Key"
KEY = re.compile(r"[!-~]{1,80}")


class PlanIn(serializers.Serializer[Any]):
    """How a job trains. Micro values are millionths; see `collectives.services.plan`."""

    cohort = serializers.IntegerField(required=False, min_value=2, max_value=100_000)
    learning_rate_micro = serializers.IntegerField(required=False, min_value=1, max_value=10_000_000)
    optimiser = serializers.ChoiceField(required=False, choices=sorted(OPTIMISERS))
    decay = serializers.BooleanField(required=False)
    value_bits = serializers.IntegerField(required=False, min_value=2, max_value=24)
    fraction_bits = serializers.IntegerField(required=False, min_value=0, max_value=23)
    bucket_size = serializers.IntegerField(required=False, min_value=2, max_value=255)
    over_selection_ppm = serializers.IntegerField(required=False, min_value=1_000_000, max_value=3_000_000)
    accept_seconds = serializers.IntegerField(required=False, min_value=1, max_value=3600)
    enrol_seconds = serializers.IntegerField(required=False, min_value=1, max_value=7 * 86400)
    phase_seconds = serializers.DictField(
        child=serializers.IntegerField(min_value=1, max_value=86400), required=False, help_text="by phase"
    )

    def to_internal_value(self, data: Any) -> Any:
        """What a plan does not have is refused, not left out: a typing error must not train another way."""
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, dict) else []
        if unknown:
            raise serializers.ValidationError({name: ["A plan has no such part."] for name in unknown})
        return super().to_internal_value(data)


class StopRuleIn(serializers.Serializer[Any]):
    """The job stops when you report this metric at this value."""

    metric = serializers.CharField(max_length=40)
    value = serializers.FloatField()
    at_least = serializers.BooleanField(default=True, help_text="false: at most")


class JudgedIn(serializers.Serializer[Any]):
    job_id = serializers.UUIDField()
    number = serializers.IntegerField(min_value=0)


class OrderIn(serializers.Serializer[Any]):
    collective_id = serializers.UUIDField()
    manifest_hash = serializers.RegexField(r"^[0-9a-f]{64}$")
    budget = serializers.RegexField(r"^[1-9][0-9]{0,37}$", help_text="base units, as a decimal string")
    max_rounds = serializers.IntegerField(min_value=1, max_value=100_000)
    judged = JudgedIn(
        required=False, help_text="for an evaluation: the checkpoint of a job of yours that it judges"
    )
    plan = PlanIn(
        required=False, help_text="what differs from the default; see the answer for the whole plan"
    )
    stop_rule = StopRuleIn(required=False, allow_null=True)
    request = serializers.CharField(
        max_length=1000,
        required=False,
        allow_blank=True,
        help_text="who you are and what the model is for; needed where the owner approves orders",
    )


class VisitsOut(serializers.Serializer[Any]):
    total = serializers.IntegerField()
    earned = serializers.IntegerField()
    reserved = serializers.IntegerField()
    left = serializers.IntegerField()
    percent = serializers.IntegerField()


class JobOut(serializers.Serializer[Any]):
    job_id = serializers.UUIDField()
    collective_id = serializers.UUIDField()
    status = serializers.ChoiceField(choices=[(status.value, status.value) for status in Job.Status])
    sentence = serializers.CharField(help_text="where the job stands, for people")
    budget = serializers.CharField(help_text="base units")
    rate = serializers.CharField(help_text="base units per visit")
    spent = serializers.CharField(help_text="base units, for visits that were earned")
    rest = serializers.CharField(help_text="base units")
    visits = VisitsOut()
    rounds_done = serializers.IntegerField()
    max_rounds = serializers.IntegerField()
    plan = PlanIn()
    stop_rule = StopRuleIn(allow_null=True)


class JobList(serializers.Serializer[Any]):
    results = JobOut(many=True)


class CheckpointOut(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    hash = serializers.CharField()
    wallets = serializers.IntegerField(help_text="in the sum of this step")
    created = serializers.DateTimeField()


class CheckpointList(serializers.Serializer[Any]):
    results = CheckpointOut(many=True)


class MetricIn(serializers.Serializer[Any]):
    checkpoint = serializers.IntegerField(min_value=0)
    name = serializers.CharField(max_length=40)
    value = serializers.FloatField()


def _order(request: Request, job_id: uuid.UUID) -> Order:
    found = Order.objects.filter(job_id=job_id, consumer=request.user).first()
    if found is None:
        raise OrderError("unknown_job", "You have no such job.", status=404)
    return found


def _key(request: Request) -> str:
    key = request.headers.get(IDEMPOTENCY, "")
    if key and not KEY.fullmatch(key):
        raise OrderError("bad_idempotency_key", f"{IDEMPOTENCY} has 1 to 80 visible ASCII characters.")
    return str(key)


def _state(order: Order) -> dict[str, Any]:
    shown = live.context(order)
    visits = {name: shown["budget"][name] for name in ("total", "earned", "reserved", "left", "percent")}
    spent = visits["earned"] * int(order.rate)
    return {
        "job_id": str(order.job_id),
        "collective_id": str(order.collective_id),
        "status": shown["job"].status,
        "sentence": shown["sentence"],
        "budget": str(int(order.budget)),
        "rate": str(int(order.rate)),
        "spent": str(spent),
        "rest": str(int(order.budget) - spent),
        "visits": visits,
        "rounds_done": shown["rounds_done"],
        "max_rounds": shown["job"].max_rounds,
        "plan": shown["job"].plan,
        "stop_rule": asdict(order.stop_rule) if order.stop_rule else None,
    }


@extend_schema(tags=["jobs"])
class Jobs(APIView):
    @extend_schema(responses=JobList)
    def get(self, request: Request) -> Response:
        """Your jobs, newest first."""
        return Response({"results": [_state(order) for order in Order.objects.filter(consumer=request.user)]})

    @extend_schema(
        request=OrderIn,
        responses={201: JobOut},
        parameters=[
            OpenApiParameter(
                IDEMPOTENCY,
                str,
                OpenApiParameter.HEADER,
                description="Chosen by you, 1 to 80 visible characters: the same key with the same order orders once.",
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Order a job; fund it next, or once the owner has approved it where the terms say so."""
        body = OrderIn(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = dict(body.validated_data)
        wanted["budget"] = int(wanted["budget"])
        if "judged" in wanted:
            wanted["judged"] = (wanted["judged"]["job_id"], wanted["judged"]["number"])
        rule = wanted.pop("stop_rule", None)
        wanted["stop_rule"] = StopRule(**rule) if rule else None
        placed = services.order(consumer=request.user, idempotency_key=_key(request), **wanted)
        return Response(_state(placed), status=201)


@extend_schema(tags=["jobs"], responses=JobOut)
class JobDetail(APIView):
    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        return Response(_state(_order(request, job_id)))


def _do(request: Request, job_id: uuid.UUID, verb: Callable[..., None]) -> Response:
    """One verb of a consumer on a job of their own, and how the job stands then."""
    order = _order(request, job_id)
    verb(order=order, actor=request.user)
    return Response(_state(order))


@extend_schema(tags=["jobs"], request=None, responses=JobOut)
class Fund(APIView):
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Put the budget into escrow; the job begins when the chain has confirmed it."""
        return _do(request, job_id, services.fund)


@extend_schema(tags=["jobs"], request=None, responses=JobOut)
class Pause(APIView):
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Pause after the running round."""
        return _do(request, job_id, services.pause)


@extend_schema(tags=["jobs"], request=None, responses=JobOut)
class Resume(APIView):
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Go on after a pause."""
        return _do(request, job_id, partial(services.pause, resume=True))


@extend_schema(tags=["jobs"], request=None, responses=JobOut)
class Stop(APIView):
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Stop after the running round."""
        return _do(request, job_id, services.stop)


@extend_schema(tags=["jobs"], responses=CheckpointList)
class Checkpoints(APIView):
    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        """The checkpoints so far; download any of them at any time."""
        order = _order(request, job_id)
        rows = [
            {"number": c.number, "hash": c.hash, "wallets": c.wallets, "created": c.created_at}
            for c in selectors.checkpoints(order.job_id)
        ]
        return Response({"results": rows})


@extend_schema(tags=["jobs"], responses={(200, "application/octet-stream"): OpenApiTypes.BINARY})
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
        return Response(model_card.build(_order(request, job_id)))


@extend_schema(tags=["jobs"], request=MetricIn, responses={201: MetricIn})
class Metrics(APIView):
    def post(self, request: Request, job_id: uuid.UUID) -> Response:
        """Report what you measured for a checkpoint on data of your own; it is drawn on the live page."""
        body = MetricIn(data=request.data)
        body.is_valid(raise_exception=True)
        services.report_metric(order=_order(request, job_id), actor=request.user, **body.validated_data)
        return Response(body.validated_data, status=201)
