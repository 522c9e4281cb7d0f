"""A job before its first round: enough subscribers, notice period over, wallets enrolled. Steps of `rounds.drive`."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from collectives import clients
from collectives.models import Admission, Job
from collectives.selectors.console import eligible, subscribers_needed
from collectives.services import jobs, opening
from collectives.services.lease import holding
from collectives.services.opening import terms_of
from collectives.services.plan import JobPlan

S = Job.Status
GRACE_SECONDS = 10
"""The sweep needs a moment to let an algorithm run whose notice is over."""
AGAIN, WAIT, DONE = "again", "wait", "done"
"""What a step says: there is more to do now; ask again shortly; nothing more."""


def prepare(job: Job, fence: int) -> str:
    """Funded or waiting: are there enough subscribers, and is the notice period over?"""
    terms = terms_of(job)
    subscribers, needed = eligible(job.collective), subscribers_needed(terms)
    admission = admission_of(job)
    with holding(job, fence) as held:
        if held.collective.status != "active":
            return suspend(held)
        if admission is None:
            jobs.end(held, S.FAILED, "The algorithm was withdrawn before the job began. Nothing was charged.")
            return DONE
        if subscribers < needed:
            return _settle_into(
                held, S.WAITING, f"{needed} subscribers are needed; the job begins when they are there."
            )
        if admission.status != Admission.Status.ACTIVE:
            return _settle_into(held, S.NOTICE, _why_not_yet(admission))
        jobs.move(held, S.SCHEDULED, "enough subscribers, notice period over")
    return AGAIN


def _why_not_yet(admission: Admission) -> str:
    if admission.effective_at <= timezone.now() - timedelta(seconds=GRACE_SECONDS):
        return "Too few wallets take this algorithm; the job begins when enough do."
    return f"The algorithm may run from {admission.effective_at:%d %B %Y %H:%M} UTC on."


def admission_of(job: Job) -> Admission | None:
    return job.collective.admissions.filter(algorithm=job.algorithm).exclude(status="withdrawn").first()


def suspend(held: Job) -> str:
    jobs.move(held, S.SUSPENDED, held.collective.status_reason or "the collective is suspended")
    return DONE


def _settle_into(job: Job, status: str, reason: str) -> str:
    if job.status != status:
        jobs.move(job, status, reason)
    elif job.reason != reason:
        Job.objects.filter(pk=job.pk).update(reason=reason)
    return WAIT


def enrol(job: Job, fence: int) -> str:
    """Ask the subscribers to enrol, and begin when the log is frozen."""
    service, plan = clients.distributor(), JobPlan.from_json(job.plan)
    found = service.call("PUT", f"/jobs/{job.pk}", {"collective_id": str(job.collective_id)})
    known = service.call("GET", f"/jobs/{job.pk}")
    if known["state"] == "created":
        body = {"envelope": opening.announcement(job, found), "enrol_seconds": plan.enrol_seconds}
        service.call("PUT", f"/jobs/{job.pk}/announcement", body)
        return WAIT
    if known["state"] != "frozen":
        return WAIT
    needed = terms_of(job)["release_min"]
    with holding(job, fence) as held:
        held.enrolled, held.log_root = known["enrolled"], known["log_root"] or ""
        held.save(update_fields=["enrolled", "log_root"])
        if known["enrolled"] < needed:
            jobs.end(
                held,
                S.FAILED,
                f"{known['enrolled']} wallets enrolled, {needed} are needed. Nobody was asked to compute and nothing was "
                "charged.",
            )
            return DONE
        jobs.move(held, S.RUNNING, f"{known['enrolled']} wallets enrolled")
    return AGAIN
