"""What an owner does over REST: see orders that wait, approve them or return them with a reason."""

from __future__ import annotations

import uuid
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from collectives import selectors
from collectives.errors import CollectiveError
from collectives.models import Collective, Job
from collectives.paging import list_schema, paged
from collectives.services import jobs


class WaitingOrder(serializers.Serializer[Any]):
    job_id = serializers.UUIDField()
    status = serializers.CharField()
    manifest_hash = serializers.CharField()
    request = serializers.CharField(help_text="who orders and what for, in their own words")
    visits_budget = serializers.IntegerField()
    max_rounds = serializers.IntegerField()
    cohort = serializers.IntegerField()
    created = serializers.DateTimeField()


class ReasonIn(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=500, help_text="shown to who ordered the job")


def owned(request: Request, collective_id: uuid.UUID) -> Collective:
    """The signed-in owner's collective; a stranger learns nothing, not even that it exists."""
    found = selectors.owned(request.user, collective_id)
    if found is None:
        raise CollectiveError("unknown_collective", "You own no such collective.", status=404)
    return found


def refused_without(request: Request, role: str, sentence: str) -> None:
    """Raises CollectiveError `role_missing` where the account does not hold the role."""
    if not request.user.has_role(role):
        raise CollectiveError("role_missing", sentence, status=403)


def _shown(job: Job) -> dict[str, Any]:
    return {
        "job_id": str(job.pk),
        "status": job.status,
        "manifest_hash": job.algorithm.manifest_hash,
        "request": job.request,
        "visits_budget": job.visits_budget,
        "max_rounds": job.max_rounds,
        "cohort": job.plan["cohort"],
        "created": job.created_at,
    }


class Orders(APIView):
    @list_schema(WaitingOrder, tags=["owners"])
    def get(self, request: Request, collective_id: uuid.UUID) -> Response:
        """Orders that wait for your decision, the oldest first."""
        rows = selectors.orders_waiting(owned(request, collective_id).pk)
        return paged(request, rows, _shown, ordering=("created_at", "pk"))


@extend_schema(tags=["owners"], request=None, responses=WaitingOrder)
class Approve(APIView):
    def post(self, request: Request, collective_id: uuid.UUID, job_id: uuid.UUID) -> Response:
        """Take the order; who ordered may fund it now. Repeating it changes nothing."""
        job = _job(request, collective_id, job_id)
        jobs.approve(actor=request.user, job_id=job.pk)
        job.refresh_from_db()
        return Response(_shown(job))


@extend_schema(tags=["owners"], request=ReasonIn, responses=WaitingOrder)
class Return(APIView):
    def post(self, request: Request, collective_id: uuid.UUID, job_id: uuid.UUID) -> Response:
        """Do not take the order; the reason is shown to who ordered it, and nothing was charged."""
        job = _job(request, collective_id, job_id)
        body = ReasonIn(data=request.data)
        body.is_valid(raise_exception=True)
        jobs.return_(actor=request.user, job_id=job.pk, reason=body.validated_data["reason"])
        job.refresh_from_db()
        return Response(_shown(job))


def _job(request: Request, collective_id: uuid.UUID, job_id: uuid.UUID) -> Job:
    owned(request, collective_id)
    job = selectors.job(job_id)
    if job is None or job.collective_id != collective_id:
        raise CollectiveError(
            "unknown_order", "There is no such order for a collective of yours.", status=404
        )
    return job
