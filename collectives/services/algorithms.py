"""Submit an algorithm, review it, announce it to a collective, let it run after its notice period."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from collectives import selectors
from collectives.errors import CollectiveError
from collectives.models import Admission, Algorithm, Collective, OutgoingCall, Subscription, TermsVersion
from collectives.services import audits
from collectives.services.agreed import misfit
from collectives.services.keys import signing_key
from collectives.services.outgoing import enqueue
from collectives.terms import classes
from collectives.terms.algorithm import (
    Manifest,
    most_ratio,
    output_length,
    parameter_count,
    parse_manifest,
    release_ratio,
)
from collectives.terms.envelope import SignedDocument
from collectives.terms.errors import TermsError
from collectives.terms.permit import Notice


def submit(*, actor: Any, manifest: Mapping[str, Any], name: str = "") -> Algorithm:
    """Register an algorithm for review; the same manifest twice is the same algorithm.

    Raises:
        CollectiveError: the automatic checks found a reason to refuse it.
    """
    try:
        parsed = parse_manifest(dict(manifest))
        ident = parsed.hash
    except TermsError as error:
        raise CollectiveError.because(error) from error
    checks = [
        {"check": "closed vocabulary", "ok": True, "detail": "Only known operators, no code."},
        {
            "check": "limits",
            "ok": True,
            "detail": f"{parameter_count(parsed)} parameters in {len(parsed.layers)} layers.",
        },
        {
            "check": "output",
            "ok": True,
            "detail": f"{parsed.output.kind}, {output_length(parsed)} values, clipped to {parsed.output.clip_micro / 1e6:g}.",
        },
    ]
    algorithm, created = Algorithm.objects.get_or_create(
        manifest_hash=ident,
        defaults={
            "author": actor,
            "name": name.strip() or parsed.name,
            "manifest": dict(manifest),
            "parameters": parameter_count(parsed),
            "checks": checks,
        },
    )
    if not created and algorithm.author_id != actor.pk:
        raise CollectiveError(
            "already_submitted", "Somebody else submitted this very algorithm already.", status=409
        )
    return algorithm


def approve(*, actor: Any, algorithm: Algorithm) -> None:
    """Raises:
    CollectiveError: not an administrator, approved already, or `audit_rejected`.
    """
    audits.check(algorithm)
    _review(actor, algorithm, Algorithm.Status.APPROVED, "")


def return_(*, actor: Any, algorithm: Algorithm, reason: str) -> None:
    if not reason.strip():
        raise CollectiveError("reason_missing", "Say what the author should change.")
    _review(actor, algorithm, Algorithm.Status.RETURNED, reason.strip())


def announce(*, actor: Any, collective: Collective, algorithm: Algorithm, reason: str) -> Admission:
    """Tell every subscriber of a new algorithm; it may run after the notice period of the current terms.

    Raises:
        CollectiveError: not the owner, suspended, not approved, rejected by its privacy audit, does not fit the data requirement,
            outside the terms' class, or announced already.
    """
    if collective.owner_id != actor.pk:
        raise CollectiveError(
            "not_yours", "Only the collective's owner may announce an algorithm.", status=403
        )
    if collective.status != Collective.Status.ACTIVE:
        raise CollectiveError(
            "suspended",
            "The collective is suspended; nothing can be announced: %(why)s",
            status=409,
            why=collective.status_reason,
        )
    if algorithm.status != Algorithm.Status.APPROVED:
        raise CollectiveError("not_approved", "This algorithm is not approved yet; wait for the review.")
    audits.check(algorithm)
    terms = collective.terms.first()
    assert terms is not None
    problem = misfit(algorithm, terms.document["requirement"])
    if problem:
        raise CollectiveError(
            "does_not_fit", "The algorithm does not fit the data requirement: %(problem)s", problem=problem
        )
    problem = classes.outside(terms.document["algorithm_class"], parse_manifest(algorithm.manifest))
    if problem:
        raise CollectiveError(
            "outside_class",
            "The algorithm is outside the class that the terms promise, and every wallet would refuse "
            "it: %(problem)s",
            problem=problem,
        )
    _check_ratio(parse_manifest(algorithm.manifest), terms.document)
    if _live(collective, algorithm):
        raise CollectiveError("already_announced", "This algorithm is announced already.", status=409)
    with transaction.atomic(durable=True):
        admission = _admission(collective, algorithm, terms, reason, terms.document["notice_seconds"])
        _send_notice(admission)
    return admission


def admit_agreed(*, collective: Collective, terms: TermsVersion) -> list[Admission]:
    """Algorithms that these terms name and that are not announced yet. Call inside the transaction that keeps the terms.

    Who subscribes under these terms has agreed and gets no notice. While somebody's terms do not name them, they are announced
    as any other algorithm is.
    """
    wanted = terms.document["permitted_manifests"]
    others = collective.subscriptions.filter(status=Subscription.Status.ACTIVE).exists()
    made = []
    for algorithm in Algorithm.objects.filter(manifest_hash__in=wanted):
        if _live(collective, algorithm):
            continue
        period = terms.document["notice_seconds"] if others else 0
        reason = f"Named in version {terms.version} of the terms."
        made.append(_admission(collective, algorithm, terms, reason, period))
        if others:
            _send_notice(made[-1])
    return made


def _live(collective: Collective, algorithm: Algorithm) -> bool:
    found = collective.admissions.filter(algorithm=algorithm).exclude(status=Admission.Status.WITHDRAWN)
    return found.exists()


def _admission(
    collective: Collective, algorithm: Algorithm, terms: TermsVersion, reason: str, period: int
) -> Admission:
    """A signed notice that takes effect after `period` seconds, and its row."""
    now = int(time.time())
    ident = uuid.uuid4()
    notice = Notice(
        collective_id=str(collective.id),
        notice_ref=str(ident),
        subject=f"New algorithm: {algorithm.name}",
        reason=reason.strip() or "No reason given.",
        manifest=algorithm.manifest,
        manifest_hash=algorithm.manifest_hash,
        announced=now,
        effective=now + period,
        silence=terms.document["silence"],
    )
    envelope = SignedDocument.sign("notice", notice.to_document(), signing_key(collective)).to_json()
    return Admission.objects.create(
        id=ident,
        collective=collective,
        algorithm=algorithm,
        subject=notice.subject,
        reason=notice.reason,
        notice=envelope,
        announced_at=datetime.fromtimestamp(now, UTC),
        effective_at=datetime.fromtimestamp(notice.effective, UTC),
    )


def _check_ratio(manifest: Manifest, terms: Mapping[str, Any]) -> None:
    """Wallets refuse an algorithm that asks too much of too few; better said before everybody is told of it."""
    if terms["development"] or terms["privacy_level"] == "formal":
        return
    least, most = terms["release_min"], most_ratio(manifest)
    if release_ratio(manifest, least) > most:
        needed = math.ceil(release_ratio(manifest, 1) / most)
        raise CollectiveError(
            "asks_too_much",
            "It would learn %(numbers)s numbers from sums of as few as %(least)s wallets, and "
            "wallets would refuse it. Ask for less, or raise the collective's minimum to %(needed)s.",
            numbers=output_length(manifest),
            least=least,
            needed=needed,
        )


def _send_notice(admission: Admission) -> None:
    """To everybody the distributor knows now, and once more behind every subscriber it is still to hear of."""
    base = f"/collectives/{admission.collective_id}"
    path, body = f"{base}/notices/{admission.id}", {"envelope": admission.notice}
    enqueue(key=f"notice:{admission.id}", method="PUT", path=path, body=body)
    newcomers = OutgoingCall.objects.filter(
        status=OutgoingCall.Status.WAITING, method="PUT", path__startswith=f"{base}/subscribers/"
    )
    for newcomer in newcomers:
        key = newcomer.path.rsplit("/", 1)[1]
        enqueue(
            key=f"notice:{admission.id}:{key}",
            method="PUT",
            path=f"{path}/subscribers/{key}",
            body=body,
            after=newcomer,
        )


def activate_due(now: datetime) -> int:
    """Admissions whose notice period has passed become active where enough wallets take them; returns how many.

    One with too few stays announced, and becomes active when more subscribe or change their answer; so does one whose algorithm
    was rejected by its privacy audit meanwhile, and one whose notice did not get through to the distributor yet.
    """
    # Two seconds of grace, so that a wallet that saw the notice a moment late is past its own period too.
    due = Admission.objects.filter(
        status=Admission.Status.ANNOUNCED, effective_at__lte=now - timedelta(seconds=2)
    )
    return sum(_activate(admission) for admission in due.select_related("algorithm", "collective"))


def _activate(admission: Admission) -> bool:
    try:
        audits.check(admission.algorithm)
    except CollectiveError:
        return False
    told = OutgoingCall.objects.filter(key=f"notice:{admission.id}")
    if told.filter(status=OutgoingCall.Status.WAITING).exists():
        return False
    versions = list(admission.collective.terms.all())
    if selectors.willing(admission, versions).count() < versions[0].document["release_min"]:
        return False
    announced = Admission.objects.filter(pk=admission.pk, status=Admission.Status.ANNOUNCED)
    return bool(announced.update(status=Admission.Status.ACTIVE))


def withdraw(*, actor: Any, admission: Admission) -> None:
    if admission.collective.owner_id != actor.pk and not actor.is_staff:
        raise CollectiveError(
            "not_yours", "Only the collective's owner may withdraw an algorithm.", status=403
        )
    admission.status = Admission.Status.WITHDRAWN
    admission.save(update_fields=["status"])


def _review(actor: Any, algorithm: Algorithm, status: str, reason: str) -> None:
    if not actor.is_staff:
        raise CollectiveError("not_allowed", "Only an administrator reviews algorithms.", status=403)
    algorithm.refresh_from_db(fields=["status"])
    if algorithm.status == status:
        raise CollectiveError(
            "reviewed",
            "It is %(state)s already.",
            status=409,
            state=algorithm.get_status_display(),
        )
    algorithm.status, algorithm.reason, algorithm.reviewed_at = status, reason, timezone.now()
    algorithm.save(update_fields=["status", "reason", "reviewed_at"])
