"""What a data consumer does, over REST: order, fund, watch, pause, stop. What comes of it: `api_results`."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from collectives import selectors
from collectives.api_fields import BaseUnits, Strict
from collectives.models import Job, Round
from collectives.paging import list_schema, paged
from collectives.services.plan import MOST_QUANTILE, RULES
from collectives.training.update import OPTIMISERS
from marketplace.jobs import live, services
from marketplace.jobs.errors import OrderError
from marketplace.jobs.models import Order
from marketplace.jobs.plateau import MOST_EVERY, MOST_WINDOW, Plateau
from marketplace.jobs.stop_rule import StopRule

IDEMPOTENCY = "Idempotency-Key"
KEY = re.compile(r"[!-~]{1,80}")


class PlanIn(Strict):
    """How a job trains. Micro values are millionths; see `collectives.services.plan`."""

    nothing_such = "A plan has no such part."
    cohort = serializers.IntegerField(required=False, min_value=2, max_value=100_000)
    learning_rate_micro = serializers.IntegerField(required=False, min_value=1, max_value=10_000_000)
    optimiser = serializers.ChoiceField(required=False, choices=sorted(OPTIMISERS))
    decay = serializers.BooleanField(
        required=False, help_text="the rate falls along half a cosine to a tenth"
    )
    decay_after_ppm = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=1_000_000,
        help_text="share of the rounds before the rate falls",
    )
    value_bits = serializers.IntegerField(required=False, min_value=2, max_value=24)
    fraction_bits = serializers.IntegerField(required=False, min_value=0, max_value=23)
    bucket_size = serializers.IntegerField(required=False, min_value=2, max_value=255)
    rotated = serializers.BooleanField(required=False, help_text="turn updates before they are rounded")
    clip_quantile_ppm = serializers.IntegerField(
        required=False,
        min_value=0,
        max_value=MOST_QUANTILE,
        help_text="the clip bound follows this quantile of the updates' norms; 0: the algorithm's bound",
    )
    poisson = serializers.BooleanField(
        required=False, help_text="every wallet is invited by a coin of its own, not in turn"
    )
    rule = serializers.ChoiceField(
        required=False,
        choices=RULES,
        help_text="what becomes of bucket sums that stand out; under formal terms they are always summed",
    )
    over_selection_ppm = serializers.IntegerField(required=False, min_value=1_000_000, max_value=3_000_000)
    accept_seconds = serializers.IntegerField(required=False, min_value=1, max_value=3600)
    enrol_seconds = serializers.IntegerField(required=False, min_value=1, max_value=7 * 86400)
    phase_seconds = serializers.DictField(
        child=serializers.IntegerField(min_value=1, max_value=86400), required=False, help_text="by phase"
    )


class StopRuleIn(serializers.Serializer[Any]):
    """The job stops when you report this metric at this value."""

    metric = serializers.CharField(max_length=40)
    value = serializers.FloatField()
    at_least = serializers.BooleanField(default=True, help_text="false: at most")


class PlateauIn(Strict):
    """The job stops where evaluations by other wallets get no better; each is an order of its own, funded for you at the same rate."""

    nothing_such = "A plateau rule has no such part."
    evaluation = serializers.RegexField(r"^[0-9a-f]{64}$", help_text="manifest hash of the evaluation")
    every = serializers.IntegerField(default=5, min_value=1, max_value=MOST_EVERY, help_text="rounds")
    window = serializers.IntegerField(
        default=3, min_value=1, max_value=MOST_WINDOW, help_text="evaluations that are averaged"
    )


class JudgedIn(serializers.Serializer[Any]):
    job_id = serializers.UUIDField()
    number = serializers.IntegerField(min_value=0)


class OrderIn(serializers.Serializer[Any]):
    collective_id = serializers.UUIDField()
    manifest_hash = serializers.RegexField(r"^[0-9a-f]{64}$")
    budget = BaseUnits(help_text="base units, as a decimal string")
    max_rounds = serializers.IntegerField(min_value=1, max_value=100_000)
    judged = JudgedIn(
        required=False, help_text="for an evaluation: the checkpoint of a job of yours that it judges"
    )
    plan = PlanIn(
        required=False, help_text="what differs from the default; see the answer for the whole plan"
    )
    stop_rule = StopRuleIn(required=False, allow_null=True)
    plateau = PlateauIn(required=False, allow_null=True)
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
    manifest_hash = serializers.CharField()
    status = serializers.ChoiceField(choices=Job.Status.choices)
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
    plateau = PlateauIn(allow_null=True)
    ordered = serializers.DateTimeField()


def own_order(request: Request, job_id: uuid.UUID) -> Order:
    found = Order.objects.filter(job_id=job_id, consumer=request.user).first()
    if found is None:
        raise OrderError("unknown_job", "You have no such job.", status=404)
    return found


def _key(request: Request) -> str:
    key = request.headers.get(IDEMPOTENCY, "")
    if key and not KEY.fullmatch(key):
        raise OrderError(
            "bad_idempotency_key",
            "%(idempotency)s has 1 to 80 visible ASCII characters.",
            idempotency=IDEMPOTENCY,
        )
    return str(key)


def states(orders: Iterable[Order]) -> list[dict[str, Any]]:
    """How the jobs of these orders stand, in three queries whatever their number."""
    orders = list(orders)
    jobs = selectors.jobs_by_id(order.job_id for order in orders)
    current = selectors.open_rounds(jobs)
    return [
        _state(order, jobs[order.job_id], current.get(order.job_id))
        for order in orders
        if order.job_id in jobs
    ]


def _state(order: Order, job: Any, current: Round | None) -> dict[str, Any]:
    spent = job.visits_earned * int(order.rate)
    plateau = Plateau.of(order)
    return {
        "job_id": str(order.job_id),
        "collective_id": str(order.collective_id),
        "manifest_hash": job.algorithm.manifest_hash,
        "status": job.status,
        "sentence": live.sentence(job, current, job.done),
        "budget": str(int(order.budget)),
        "rate": str(int(order.rate)),
        "spent": str(spent),
        "rest": str(int(order.budget) - spent),
        "visits": live.visits(job),
        "rounds_done": job.done,
        "max_rounds": job.max_rounds,
        "plan": job.plan,
        "stop_rule": asdict(order.stop_rule) if order.stop_rule else None,
        "plateau": asdict(plateau) if plateau else None,
        "ordered": order.created_at,
    }


class Jobs(APIView):
    @list_schema(JobOut, tags=["jobs"])
    def get(self, request: Request) -> Response:
        """Your jobs, newest first."""
        return paged(request, Order.objects.filter(consumer=request.user), shapes=states)

    @extend_schema(
        tags=["jobs"],
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
        if "judged" in wanted:
            wanted["judged"] = (wanted["judged"]["job_id"], wanted["judged"]["number"])
        rule = wanted.pop("stop_rule", None)
        wanted["stop_rule"] = StopRule(**rule) if rule else None
        judge = wanted.pop("plateau", None)
        wanted["plateau"] = Plateau(**judge) if judge else None
        placed = services.order(consumer=request.user, idempotency_key=_key(request), **wanted)
        return Response(states([placed])[0], status=201)


@extend_schema(tags=["jobs"], responses=JobOut)
class JobDetail(APIView):
    def get(self, request: Request, job_id: uuid.UUID) -> Response:
        """How one of your jobs stands."""
        return Response(states([own_order(request, job_id)])[0])


def _do(request: Request, job_id: uuid.UUID, verb: Callable[..., None]) -> Response:
    """One verb of a consumer on a job of their own, and how the job stands then."""
    order = own_order(request, job_id)
    verb(order=order, actor=request.user)
    return Response(states([order])[0])


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
