"""Register a collective with its four elements; propose new terms; suspend."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from collectives.errors import CollectiveError
from collectives.models import Collective, TermsVersion
from collectives.services import agreed, algorithms, jobs
from collectives.services.keys import new_key, signing_key
from collectives.terms import classes
from collectives.terms.description import build_terms, duration, terms_hash
from collectives.terms.envelope import SignedDocument
from collectives.terms.errors import TermsError

VALID_SECONDS = 365 * 24 * 3600


def register(
    *,
    actor: Any,
    name: str,
    purpose: str,
    task_description: str,
    requirement: Mapping[str, Any],
    rate: int,
    not_for: str = "",
    notice_seconds: int | None = None,
    bucket_min: int = 38,
    release_min: int = 100,
    silence: str = "without",
    assurance: str = "declared",
    order_policy: str = "open",
    manifests: Sequence[str] = (),
    algorithm_class: Mapping[str, Any] | None = None,
    development: bool = False,
) -> Collective:
    """A new collective: its identifying key, and its first signed terms (task, requirement, rate, sample contract).

    `manifests` are the algorithms that a subscriber agrees to by subscribing; they are admitted at once. `algorithm_class`
    (collectives.terms.classes) bounds every algorithm announced later; None bounds none.

    Raises:
        CollectiveError: an element is missing or not allowed; nothing was written.
    """
    collective_id = uuid.uuid4()
    public, sealed = new_key(collective_id)
    collective = Collective(
        id=collective_id, owner=actor, name=name.strip(), public_key=public, sealed_key=sealed
    )
    values = {
        "purpose": purpose.strip(),
        "not_for": not_for.strip(),
        "task_description": task_description.strip(),
        "requirement": requirement,
        "rate": rate,
        "notice_seconds": settings.NOTICE_MIN_SECONDS if notice_seconds is None else notice_seconds,
        "bucket_min": bucket_min,
        "release_min": release_min,
        "silence": silence,
        "assurance": assurance,
        "order_policy": order_policy,
        "permitted_manifests": list(manifests),
        "algorithm_class": algorithm_class,
        "development": development,
    }
    with transaction.atomic(durable=True):
        version = _sign(collective, 1, values)
        collective.save(force_insert=True)
        version.save(force_insert=True)
        algorithms.admit_agreed(collective=collective, terms=version)
    return collective


def propose_terms(
    *, actor: Any, collective: Collective, manifests: Sequence[str] | None = None, **changes: Any
) -> TermsVersion:
    """The next version of the terms; existing subscriptions keep the version they pinned.

    `manifests` replaces the algorithms that a new subscriber agrees to; the ones not announced yet are announced to everybody
    who subscribed before.

    Raises:
        CollectiveError: not the owner, an element is not allowed, or nothing changed.
    """
    _owned(actor, collective)
    with transaction.atomic(durable=True):
        current = collective.terms.select_for_update().first()
        assert current is not None
        kept = (
            "name purpose not_for task_description requirement assurance permitted_manifests notice_seconds silence "
            "bucket_min release_min order_policy development algorithm_class"
        ).split()
        values = {field: current.document[field] for field in kept} | {"rate": int(current.document["rate"])}
        values |= {"sandbox": current.document["sandbox"]} if "sandbox" in current.document else {}
        values |= {} if manifests is None else {"permitted_manifests": list(manifests)}
        version = _sign(collective, current.version + 1, values | changes)
        same = ("terms_version", "created")
        if {**version.document, **{k: current.document[k] for k in same}} == current.document:
            raise CollectiveError(
                "nothing_changed",
                _("These are the terms as they stand: nothing was signed. Change something first."),
            )
        version.save(force_insert=True)
        algorithms.admit_agreed(collective=collective, terms=version)
    return version


def suspend(*, actor: Any, collective: Collective, reason: str) -> None:
    """Stop everything new; running jobs are suspended after their round. The reason is shown to everybody."""
    _staff(actor)
    if not reason.strip():
        raise CollectiveError("reason_missing", _("Say why: the reason is shown on the collective's page."))
    if collective.status == Collective.Status.SUSPENDED:
        raise CollectiveError(
            "suspended", _("It is suspended already; reinstate it first to say another reason.")
        )
    collective.status, collective.status_reason = Collective.Status.SUSPENDED, reason.strip()[:300]
    collective.save(update_fields=["status", "status_reason"])


def reinstate(*, actor: Any, collective: Collective) -> None:
    """Open again; jobs that were suspended with it go on where they were."""
    _staff(actor)
    if collective.status != Collective.Status.SUSPENDED:
        raise CollectiveError("not_suspended", _("It is not suspended."))
    with transaction.atomic():
        collective.status, collective.status_reason = Collective.Status.ACTIVE, ""
        collective.save(update_fields=["status", "status_reason"])
        jobs.go_on(collective)


def _sign(collective: Collective, number: int, values: Mapping[str, Any]) -> TermsVersion:
    """An unsaved, signed terms version."""
    name = values.get("name", collective.name)
    if TermsVersion.objects.exclude(collective=collective).filter(document__name__iexact=name).exists():
        raise CollectiveError(
            "name_taken",
            _("There is a collective of this name. Choose another, so that nobody takes one for the other."),
        )
    if values["development"] and not settings.DEVELOPMENT_MINIMA:
        raise CollectiveError(
            "development_off",
            _("Lowered minima need the development setting CSSI_DEVELOPMENT_MINIMA; use the usual minima."),
        )
    if values["notice_seconds"] < settings.NOTICE_MIN_SECONDS:
        raise CollectiveError(
            "notice_too_short",
            _("The notice period must be at least %(least)s on this site; it is %(given)s.")
            % {
                "least": duration(settings.NOTICE_MIN_SECONDS),
                "given": duration(values["notice_seconds"]),
            },
        )
    found = agreed.chosen(values["permitted_manifests"], values["requirement"])
    try:
        classes.parse(values["algorithm_class"])
        agreed.check_class(values["algorithm_class"], values["requirement"], found)
        document = build_terms(
            **{"name": collective.name}
            | values
            | ({"algorithms": agreed.named(found)} if found else {})
            | {
                "collective_id": str(collective.id),
                "collective_key": collective.public_key,
                "terms_version": number,
                "token": settings.TOKEN_SYMBOL,
                "privacy_level": "aggregate",
                "agreement": {"chain_id": settings.CHAIN_ID, "registry": registry_address()},
                "valid_seconds": VALID_SECONDS,
                "created": int(time.time()),
            }
        )
    except TermsError as error:
        raise CollectiveError.because(error) from error
    envelope = SignedDocument.sign("terms", document, signing_key(collective))
    return TermsVersion(
        collective=collective,
        version=number,
        document=document,
        key=envelope.key,
        signature=envelope.signature,
        hash=terms_hash(document),
    )


def registry_address() -> str:
    """Where agreements are registered; the zero address before contracts are deployed.

    The settlement part of the market writes it into the cache of public facts (`settings.REGISTRY_ADDRESS` or the
    deployment file); the collective domain only repeats it in its terms.
    """
    provider = getattr(settings, "REGISTRY_ADDRESS", None)
    return str(provider() if callable(provider) else provider or "0x" + "00" * 20)


def _owned(actor: Any, collective: Collective) -> None:
    if collective.owner_id != actor.pk:
        raise CollectiveError("not_yours", _("Only the collective's owner may do this."), status=403)


def _staff(actor: Any) -> None:
    if not actor.is_staff:
        raise CollectiveError("not_allowed", _("Only an administrator may do this."), status=403)
