"""Privacy audits: ask for one, run it, keep its report, and stop what it rejects.

An algorithm without an audit may be approved: pages say that it is not audited. One whose newest audit rejects it may not: not in
review, not in terms, not by an owner's notice, and a notice that has been sent does not take effect. A newer audit replaces an older one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import IntegrityError, transaction
from django.utils import timezone

from collectives import audit_words, wakeups
from collectives.errors import CollectiveError
from collectives.models import Algorithm, Audit
from collectives.selectors.audits import standing
from collectives.terms.algorithm import parse_manifest
from collectives.terms.errors import TermsError
from collectives.training.features import Encoder

log = structlog.get_logger(__name__)
TASK = "collectives.audit_waiting"
SETTLED = timedelta(seconds=5)
"""What is approved in the moment it is submitted (a demo does so) is not audited unasked."""
LOST = timedelta(hours=1)
"""An audit that runs longer was lost with its process: it waits again, and gives up the second time."""


def request(algorithm: Algorithm) -> Audit:
    """The open audit of an algorithm, or a new one; it runs in the background."""
    try:
        with transaction.atomic():
            made = Audit.objects.create(algorithm=algorithm)
    except IntegrityError:
        return Audit.objects.get(algorithm=algorithm, status__in=Audit.OPEN)
    transaction.on_commit(lambda: wakeups.send(TASK))
    return made


def look_after(now: datetime) -> None:
    """Audits for what waits for review without one, and a wake-up for what waits to be run. Called by a sweep."""
    unasked = Algorithm.objects.filter(
        status=Algorithm.Status.SUBMITTED, audits__isnull=True, created_at__lte=now - SETTLED
    )
    for algorithm in unasked[:20]:
        request(algorithm)
    if not Audit.objects.filter(status__in=Audit.OPEN).exists():
        return
    lost = Audit.objects.filter(status=Audit.Status.RUNNING, started_at__lte=now - LOST)
    lost.filter(reason="").update(
        status=Audit.Status.WAITING, reason="Its process ended; it was begun again."
    )
    lost.update(status=Audit.Status.FAILED, reason="Its process ended twice.", finished_at=now)
    waiting = Audit.objects.filter(status=Audit.Status.WAITING).exists()
    if waiting and not Audit.objects.filter(status=Audit.Status.RUNNING).exists():
        wakeups.send(TASK, expires=now + timedelta(seconds=2))


def run_next(now: datetime) -> bool:
    """Run the audit that has waited longest, unless one runs: they use all the processors there are. False: nothing to do."""
    waiting = Audit.objects.filter(status=Audit.Status.WAITING).order_by("requested_at").first()
    if waiting is None or Audit.objects.filter(status=Audit.Status.RUNNING).exists():
        return False
    claimed = Audit.objects.filter(pk=waiting.pk, status=Audit.Status.WAITING).update(
        status=Audit.Status.RUNNING, started_at=now
    )
    if claimed:
        _run(waiting)
    return bool(claimed)


def keep(algorithm: Algorithm, report: Mapping[str, Any]) -> Audit:
    """Keep a report that was made elsewhere, of this very manifest.

    Raises:
        CollectiveError: `other_manifest`, or `not_whole`: parts are missing.
    """
    _check_whole(algorithm, report)
    row = Audit(algorithm=algorithm, started_at=timezone.now())
    _conclude(row, report)
    row.save(force_insert=True)
    return row


def check(algorithm: Algorithm) -> None:
    """Raises:
    CollectiveError: `audit_rejected`, with the first reason.
    """
    found = standing(algorithm)
    if found is not None and found.status == Audit.Status.REJECTED:
        why = (found.report or {}).get("why") or ["see the report"]
        raise CollectiveError(
            "audit_rejected",
            "The privacy audit rejects “%(name)s”: %(why)s. Change the algorithm, or have it audited again.",
            status=409,
            name=algorithm.name,
            why=audit_words.sentence(why[0]),
        )


def requirement_of(algorithm: Algorithm) -> dict[str, Any] | None:
    """The data requirement of the first collective that announced it and whose records it fits; None: there is none."""
    for admission in algorithm.admissions.select_related("collective").order_by("announced_at"):
        terms = admission.collective.terms.first()
        if terms is None:
            continue
        requirement: dict[str, Any] = terms.document["requirement"]
        try:
            Encoder(requirement, parse_manifest(algorithm.manifest))
        except TermsError:
            continue
        return requirement
    return None


def _run(row: Audit) -> None:
    from collectives.audit.run import audit  # brings torch along, which a web process never needs
    from collectives.audit.subject import subject

    algorithm = row.algorithm

    def progress(part: str, done: int, of: int) -> None:
        words = f"{part}, {done} of {of} parts done" if part else ""
        Audit.objects.filter(pk=row.pk, status=Audit.Status.RUNNING).update(doing=words)

    try:
        found = subject(algorithm.manifest, requirement_of(algorithm))
        report = audit(
            found, command=f"manage.py audit --algorithm {algorithm.manifest_hash}", progress=progress
        )
        _conclude(row, report.to_json())
    except Exception as error:  # whatever it is, the row must not stay open
        log.exception("audit_failed", algorithm=algorithm.manifest_hash)
        row.status, row.reason, row.finished_at = (
            Audit.Status.FAILED,
            f"The audit ended with {type(error).__name__}; ask for it again, or see the log.",
            timezone.now(),
        )
    row.doing = ""
    row.save(update_fields=["status", "score", "report", "reason", "finished_at", "doing"])


def _conclude(row: Audit, report: Mapping[str, Any]) -> None:
    row.status = Audit.Status.ADMITTED if report["admitted"] else Audit.Status.REJECTED
    row.score, row.report, row.reason, row.finished_at = report["score"], dict(report), "", timezone.now()


def _check_whole(algorithm: Algorithm, report: Mapping[str, Any]) -> None:
    if report["manifest_hash"] != algorithm.manifest_hash:
        raise CollectiveError("other_manifest", "This report is about another manifest.")
    from collectives.audit.run import PARTS

    made = {part["name"] for part in report["parts"]}
    if report["admitted"] and not made >= set(PARTS):
        missing = ", ".join(sorted(set(PARTS) - made))
        raise CollectiveError(
            "not_whole", "The report lacks %(missing)s; run the audit without --only.", missing=missing
        )
