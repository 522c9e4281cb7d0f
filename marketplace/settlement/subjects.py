"""What there is to publish, and how each thing describes itself: read from the collective domain, hashes and purposes only."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings

from collectives import selectors as collectives
from collectives.models import Algorithm, Checkpoint, Collective, Job
from collectives.models.jobs import ENDED
from marketplace.settlement import conf
from marketplace.settlement.ddo import Description, did
from marketplace.settlement.models import Asset

K = Asset.Kind


def owner(kind: str, subject: str) -> Any:
    """The account whose thing it is: what orders pay goes to them."""
    if kind == K.COLLECTIVE:
        return Collective.objects.get(pk=uuid.UUID(subject)).owner
    if kind == K.ALGORITHM:
        return Algorithm.objects.get(manifest_hash=subject).author
    return Job.objects.select_related("collective").get(pk=uuid.UUID(subject)).collective.owner


def unpublished(limit: int = 10) -> list[tuple[str, str]]:
    """Active collectives with terms, and approved algorithms that some collective announced, that are no assets yet."""
    known = set(Asset.objects.filter(chain_id=settings.CHAIN_ID).values_list("kind", "subject"))
    active = Collective.objects.filter(status=Collective.Status.ACTIVE, terms__isnull=False)
    admitted = Algorithm.objects.filter(status=Algorithm.Status.APPROVED, admissions__isnull=False)
    found = [(K.COLLECTIVE.value, str(pk)) for pk in active.values_list("pk", flat=True).distinct()]
    found += [
        (K.ALGORITHM.value, manifest)
        for manifest in admitted.values_list("manifest_hash", flat=True).distinct()
    ]
    return [each for each in found if each not in known][:limit]


def suspended(kind: str, subject: str) -> bool:
    """Whether nobody may order it now."""
    if kind != K.COLLECTIVE:
        return False
    return Collective.objects.filter(pk=uuid.UUID(subject), status=Collective.Status.SUSPENDED).exists()


def describe(asset: Asset) -> Description:
    """What the document of an asset says today."""
    return {K.COLLECTIVE: _collective, K.ALGORITHM: _algorithm, K.MODEL: _model}[K(asset.kind)](asset)


def name(kind: str, subject: str) -> str:
    if kind == K.COLLECTIVE:
        return Collective.objects.get(pk=uuid.UUID(subject)).name
    if kind == K.ALGORITHM:
        return Algorithm.objects.get(manifest_hash=subject).name
    return "Model: " + Job.objects.select_related("algorithm").get(pk=uuid.UUID(subject)).algorithm.name


def _collective(asset: Asset) -> Description:
    card = collectives.card(uuid.UUID(asset.subject))
    assert card is not None
    terms = card.terms.document
    manifests = sorted(admission.algorithm.manifest_hash for admission in card.admissions)
    published = dict(
        Asset.objects.filter(chain_id=asset.chain_id, kind=K.ALGORITHM, subject__in=manifests)
        .exclude(nft="")
        .values_list("subject", "nft")
    )
    return Description(
        kind=asset.kind,
        name=card.collective.name,
        text=terms["purpose"],
        author=card.collective.name,
        created=int(card.collective.created_at.timestamp()),
        updated=int(card.terms.created_at.timestamp()),
        facts={
            "collective_id": asset.subject,
            "collective_key": card.collective.public_key,
            "terms_hash": card.terms.hash,
            "terms_version": card.terms.version,
            "requirement_hash": terms["requirement_hash"],
            "rate": terms["rate"],
            "token": terms["token"],
            "bucket_min": terms["bucket_min"],
            "release_min": terms["release_min"],
        },
        trusted=tuple(
            {"did": did(published[m], asset.chain_id), "filesChecksum": m}
            for m in manifests
            if m in published
        ),
        timeout=conf.get("ORDER_SECONDS"),
    )


def _algorithm(asset: Asset) -> Description:
    found = Algorithm.objects.get(manifest_hash=asset.subject)
    created = int(found.created_at.timestamp())
    return Description(
        kind=asset.kind,
        name=found.name,
        text=found.manifest["purpose"],
        author="algorithm author",
        created=created,
        updated=created,
        facts={
            "manifest_hash": found.manifest_hash,
            "parameters": found.parameters,
            "loss": found.manifest.get("loss", ""),
        },
        timeout=conf.get("ORDER_SECONDS"),
    )


def _model(asset: Asset) -> Description:
    job = Job.objects.select_related("algorithm", "collective").get(pk=uuid.UUID(asset.subject))
    last = last_checkpoint(job)
    assert last is not None
    return Description(
        kind=asset.kind,
        name=name(asset.kind, asset.subject),
        text=job.algorithm.manifest["purpose"],
        author=job.collective.name,
        created=int(last.created_at.timestamp()),
        updated=int(last.created_at.timestamp()),
        facts={
            "job_id": asset.subject,
            "collective_id": str(job.collective_id),
            "manifest_hash": job.algorithm.manifest_hash,
            "checkpoint": last.number,
            "checkpoint_hash": last.hash,
        },
        service="access",
    )


def last_checkpoint(job: Job) -> Checkpoint | None:
    """The finished model of a job that is over; None while it runs or when no round ever ended well."""
    if job.status not in ENDED | {Job.Status.SETTLED}:
        return None
    return job.checkpoints.filter(number__gt=0).order_by("-number").first()
