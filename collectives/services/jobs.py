"""A job's life: create, fund, pause, resume, stop. The status moves only here, along the one table, with a reason."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

from collectives import wakeups
from collectives.errors import CollectiveError
from collectives.models import Admission, Algorithm, Checkpoint, Collective, Job, JobTransition, Round
from collectives.models.jobs import ENDED, TRANSITIONS
from collectives.services import audits
from collectives.services.outgoing import enqueue
from collectives.services.plan import JobPlan
from collectives.terms.algorithm import EVALUATION, TRAINED, model_hash, parse_manifest
from collectives.training.checkpoint import checkpoint_hash, weights_from_bytes, weights_to_bytes
from collectives.training.init import initial_weights
from collectives.training.outcome import begin

S = Job.Status
MOST_VISITS = 2**63 - 1


def create(
    *,
    actor: Any,
    collective: Collective,
    algorithm: Algorithm,
    max_rounds: int,
    visits_budget: int,
    plan: JobPlan,
    request: str = "",
    judged: Checkpoint | None = None,
) -> Job:
    """A validated job with its initial checkpoint, waiting for funds, or for the owner where the terms say so.

    `request` says who orders and what for; the owner who approves orders decides by it. `judged` is the checkpoint whose
    quality an algorithm of the kind `evaluation` measures, of a job that trained the same model.

    Raises:
        CollectiveError: suspended, not the owner where only the owner may order, algorithm not admitted or rejected by its audit, budget below one
            minimum cohort, cohort below the minimum, no request where the owner approves orders, an evaluation without a
            model of its own kind, or a model given to another algorithm.
    """
    terms = collective.terms.first()
    assert terms is not None
    text = terms.document
    if collective.status != Collective.Status.ACTIVE:
        raise CollectiveError(
            "suspended",
            "This collective is suspended: %(why)s",
            status=409,
            why=collective.status_reason,
        )
    if text["order_policy"] == "owner" and actor.pk != collective.owner_id:
        raise CollectiveError("owner_only", "This collective takes orders from its owner only.", status=403)
    asks = needs_approval(collective, text, actor)
    if asks and not request.strip():
        raise CollectiveError(
            "request_missing",
            "The owner approves orders here: say in a sentence or two who you are and what the model is for.",
        )
    if (
        not collective.admissions.filter(algorithm=algorithm)
        .exclude(status=Admission.Status.WITHDRAWN)
        .exists()
    ):
        raise CollectiveError("not_admitted", "This algorithm is not announced to this collective.")
    audits.check(algorithm)
    if not 1 <= max_rounds <= 100_000:
        raise CollectiveError("bad_rounds", "Choose 1 to 100,000 rounds.")
    if plan.cohort < text["release_min"]:
        raise CollectiveError(
            "cohort_too_small",
            "The cohort must be at least %(release_min)s wallets.",
            release_min=text["release_min"],
        )
    if visits_budget < text["release_min"]:
        raise CollectiveError(
            "budget_too_small",
            "This budget pays %(visits_budget)s visits; a single round needs at least %(release_min)s.",
            visits_budget=visits_budget,
            release_min=text["release_min"],
        )
    if visits_budget > MOST_VISITS:
        raise CollectiveError(
            "budget_too_large",
            "A job pays at most %(most_visits)s visits; lower the budget.",
            most_visits=MOST_VISITS,
        )
    if plan.bucket_size < text["bucket_min"]:
        raise CollectiveError(
            "bad_plan",
            "bucket_size must be at least %(bucket_min)s, the collective's smallest bucket.",
            bucket_min=text["bucket_min"],
        )
    _check_judged(algorithm, judged)
    _check_options(algorithm, plan, visits_budget)
    with transaction.atomic():
        job = Job.objects.create(
            collective=collective,
            algorithm=algorithm,
            rate=int(text["rate"]),
            visits_budget=visits_budget,
            max_rounds=max_rounds,
            plan=plan.to_json(),
            request=request.strip()[:1000],
        )
        _store_initial(job, judged)
        if asks:
            move(job, S.APPROVAL, "the owner decides on this order")
        else:
            move(job, S.VALIDATED, "checked")
    return job


def needs_approval(collective: Collective, terms: Mapping[str, Any], actor: Any) -> bool:
    """Whether an order of this account waits for the owner; an owner need not ask themselves."""
    return bool(terms["order_policy"] == "approval" and actor.pk != collective.owner_id)


def approve(*, actor: Any, job_id: uuid.UUID) -> None:
    """The owner takes the order; it waits for funds now. Repeating it changes nothing.

    Raises:
        CollectiveError: not the owner nor an administrator, or the order was returned.
    """
    with transaction.atomic():
        job = _decidable(actor, job_id)
        if job.status == S.APPROVAL:
            move(job, S.VALIDATED, "approved by the owner")
        elif job.status == S.RETURNED:
            raise CollectiveError(
                "returned", "This order was returned; it can only be ordered anew.", status=409
            )


def return_(*, actor: Any, job_id: uuid.UUID, reason: str) -> None:
    """The owner does not take the order. The reason is shown to who ordered; nothing was charged.

    Raises:
        CollectiveError: not the owner nor an administrator, no reason, or the order is approved already.
    """
    if not reason.strip():
        raise CollectiveError("reason_missing", "Say why: the reason is shown to who ordered the job.")
    with transaction.atomic():
        job = _decidable(actor, job_id)
        if job.status == S.APPROVAL:
            move(job, S.RETURNED, reason.strip())
        elif job.status != S.RETURNED:
            raise CollectiveError(
                "approved", "This order is approved already and cannot be returned.", status=409
            )


def _decidable(actor: Any, job_id: uuid.UUID) -> Job:
    job = Job.objects.select_for_update(of=("self",)).select_related("collective").filter(pk=job_id).first()
    if job is None or (job.collective.owner_id != actor.pk and not actor.is_staff):
        raise CollectiveError(
            "unknown_order", "There is no such order for a collective of yours.", status=404
        )
    return job


def mark_funded(job_id: uuid.UUID) -> None:
    """The escrow is open. Repeating it changes nothing."""
    with transaction.atomic():
        job = Job.objects.select_for_update().get(pk=job_id)
        if job.status == S.VALIDATED:
            move(job, S.FUNDED, "the budget is in escrow")
    wake(job_id)


def pause(*, job_id: uuid.UUID, actor: Any) -> None:
    """After the running round."""
    _ask(job_id, pause_requested=True)


def resume(*, job_id: uuid.UUID, actor: Any) -> None:
    with transaction.atomic():
        job = Job.objects.select_for_update().get(pk=job_id)
        if job.status == S.PAUSED:
            move(job, S.RUNNING, "resumed")
        Job.objects.filter(pk=job_id).update(pause_requested=False)
    wake(job_id)


def stop(*, job_id: uuid.UUID, actor: Any, reason: str = "stopped by the consumer") -> None:
    """After the running round, whose visits are owed already; at once where none runs."""
    with transaction.atomic():
        job = Job.objects.select_for_update().get(pk=job_id)
        if job.status in ENDED or job.status in (S.SETTLED, S.RETURNED):
            return
        if job.status == S.APPROVAL:
            move(job, S.RETURNED, reason)
        elif job.status == S.RUNNING and _has_open_ends(job):
            Job.objects.filter(pk=job_id).update(stop_requested=True, stop_reason=reason[:300])
        else:
            end(job, S.STOPPED, reason)
    wake(job_id)


def go_on(collective: Collective) -> None:
    """The collective is reinstated: its suspended jobs go on, enrolled or not."""
    for job in collective.jobs.select_for_update().filter(status=S.SUSPENDED):
        move(job, S.RUNNING if job.log_root else S.FUNDED, "the collective was reinstated")
        wake(job.pk)


def _has_open_ends(job: Job) -> bool:
    """A round runs, or the aggregator still keeps the sum of one that is in the model already."""
    running = job.rounds.exclude(status__in=(Round.Status.POSTED, Round.Status.ABANDONED))
    return running.exists() or job.rounds.filter(status=Round.Status.POSTED, acknowledged=False).exists()


def mark_settled(job_id: uuid.UUID) -> None:
    with transaction.atomic():
        job = Job.objects.select_for_update().get(pk=job_id)
        if job.status != S.SETTLED:
            move(job, S.SETTLED, "every visit is paid and the rest refunded")


def move(job: Job, after: str, reason: str) -> None:
    """One step along the table; call inside a transaction that holds the row.

    Raises:
        ValueError: the table has no such step (a bug of ours).
    """
    if after not in TRANSITIONS[job.status]:
        raise ValueError(f"a job cannot go from {job.status} to {after}")
    JobTransition.objects.create(job=job, before=job.status, after=after, reason=reason[:500])
    job.status, job.reason = after, reason[:500]
    job.save(update_fields=["status", "reason"])
    job_id = job.pk
    transaction.on_commit(lambda: announce_change(job_id))


def end(job: Job, after: str, reason: str) -> None:
    """Into one of the final statuses; the distributor forgets the job's cohorts."""
    move(job, after, reason)
    enqueue(key=f"job-ended:{job.pk}", method="DELETE", path=f"/jobs/{job.pk}")


def announce_change(job_id: uuid.UUID) -> None:
    """Tell open pages that something changed; they ask for the facts themselves."""
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        async_to_sync(layer.group_send)(f"job.{job_id}", {"type": "job.changed"})
    except OSError:
        return  # the broker is down; pages catch up at its return


def wake(job_id: uuid.UUID) -> None:
    transaction.on_commit(lambda: wakeups.send("collectives.drive_job", str(job_id)))


def _ask(job_id: uuid.UUID, **flags: bool) -> None:
    Job.objects.filter(pk=job_id).update(**flags)
    wake(job_id)


def _check_options(algorithm: Algorithm, plan: JobPlan, visits_budget: int) -> None:
    if plan.clip_quantile_ppm and parse_manifest(algorithm.manifest).output.kind not in TRAINED:
        raise CollectiveError(
            "bad_plan", "clip_quantile_ppm is for models that are trained; other answers have one bound."
        )
    if plan.poisson and visits_budget < plan.invited():
        raise CollectiveError(
            "budget_too_small",
            "This budget pays %(visits)s visits; where coins decide, a round may need %(needed)s.",
            visits=visits_budget,
            needed=plan.invited(),
        )


def _check_judged(algorithm: Algorithm, judged: Checkpoint | None) -> None:
    """An evaluation needs a model it fits; every other algorithm begins with weights that nobody chose."""
    manifest = parse_manifest(algorithm.manifest)
    if (manifest.output.kind == EVALUATION) != (judged is not None):
        raise CollectiveError(
            "bad_model",
            "An evaluation judges the checkpoint of a job, so name one."
            if judged is None
            else "Only an evaluation begins with the checkpoint of another job.",
        )
    if judged is not None and model_hash(parse_manifest(judged.job.algorithm.manifest)) != model_hash(
        manifest
    ):
        raise CollectiveError("bad_model", "That checkpoint belongs to another model than this evaluation's.")


def _store_initial(job: Job, judged: Checkpoint | None) -> None:
    manifest = parse_manifest(job.algorithm.manifest)
    start = (
        initial_weights(manifest, job.pk.bytes)
        if judged is None
        else weights_from_bytes(bytes(judged.weights))
    )
    state = begin(manifest, start)
    weights = weights_to_bytes(state.weights)
    Checkpoint.objects.create(
        job=job,
        number=0,
        weights=weights,
        moments=state.moments_to_bytes(),
        hash=checkpoint_hash(bytes.fromhex(manifest.hash), 0, weights).hex(),
    )
