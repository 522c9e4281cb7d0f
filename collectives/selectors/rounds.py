"""Closed rounds as an owner sees them: how many took part, what it cost them in privacy, and what came of it. Never who."""

from __future__ import annotations

import uuid
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from collectives.models import Checkpoint, Job, Round, TermsVersion
from collectives.selectors.jobs import CLOSED
from collectives.selectors.privacy_spent import epsilons, visits_held
from collectives.services.privacy import mechanism_of
from collectives.terms.algorithm import EVALUATION, parse_manifest
from collectives.training import outcome
from collectives.training.plateau import Evaluation
from collectives.training.update import ServerState


def closed_rounds(collective_id: uuid.UUID, limit: int | None = 10) -> QuerySet[Round]:
    """Closed rounds, newest first, each with the hash of the model it made (None where it made none)."""
    made = Checkpoint.objects.filter(job=OuterRef("job"), number=OuterRef("number"))
    rounds = (
        Round.objects.filter(job__collective_id=collective_id, status__in=CLOSED)
        .select_related("job__algorithm")
        .annotate(model_hash=Subquery(made.values("hash")[:1]))
    )
    return rounds.order_by("-ended_at", "-pk")[:limit]


def epsilon_after(collective_id: uuid.UUID, rounds: Sequence[Round]) -> dict[int, float]:
    """By primary key of rounds of one collective that are in a model, of jobs that claim an epsilon: the one towards the operator when
    that round was over. The number of queries does not grow with the rounds or their jobs."""
    terms = _terms(collective_id, {row.job for row in rounds})
    formal = {job: its for job, its in terms.items() if its["privacy_level"] == "formal"}
    keys = [job.pk for job in formal]
    posted, clip = _numbers(keys), _newest_clips(keys)
    found = {}
    for job, its in formal.items():
        manifest = parse_manifest(job.algorithm.manifest)
        mechanism = mechanism_of(job, manifest, its, clip.get(job.pk) or manifest.output.clip_micro)
        for row in (row for row in rounds if row.job == job and row.number in posted[job.pk]):
            held = bisect_right(posted[job.pk], row.number)
            found[row.pk] = epsilons(mechanism, its, visits_held(job, held))[0]
    return found


def judged(rounds: Sequence[Round]) -> dict[int, Evaluation]:
    """By primary key of rounds of evaluations: what the wallets asked so far say of the model. One query."""
    asked = {
        (row.job_id, row.number): row
        for row in rounds
        if row.job.algorithm.manifest["output"]["kind"] == EVALUATION
    }
    jobs, numbers = {job for job, _ in asked}, {number for _, number in asked}
    found = {}
    for made in Checkpoint.objects.filter(job_id__in=jobs, number__in=numbers):
        row = asked.get((made.job_id, made.number))
        if row is not None:
            state = ServerState.from_bytes(bytes(made.weights), bytes(made.moments))
            found[row.pk] = outcome.judged(parse_manifest(row.job.algorithm.manifest), state)
    return found


def _terms(collective_id: uuid.UUID, jobs: Iterable[Job]) -> dict[Job, dict[str, Any]]:
    """Those on offer when each job was ordered."""
    versions = list(TermsVersion.objects.filter(collective_id=collective_id).order_by("-version"))
    return {job: next(one.document for one in versions if one.created_at <= job.created_at) for job in jobs}


def _numbers(jobs: Iterable[uuid.UUID]) -> dict[uuid.UUID, list[int]]:
    """Of each job the numbers of the rounds that are in its model, in their order."""
    found: dict[uuid.UUID, list[int]] = {pk: [] for pk in jobs}
    for pk, number in (
        Round.objects.filter(job_id__in=found, status=Round.Status.POSTED)
        .order_by("number")
        .values_list("job_id", "number")
    ):
        found[pk].append(number)
    return found


def _newest_clips(jobs: Iterable[uuid.UUID]) -> dict[uuid.UUID, int]:
    return dict(
        Checkpoint.objects.filter(job_id__in=list(jobs))
        .order_by("number")
        .values_list("job_id", "clip_micro")
    )
