"""Whose visits made a model, kept for a sale that may come: sealed under a key of the market, and opened only for a sale.

Visits are forgotten when their epoch is settled. To pay for a model sold later, the aggregator keeps per job and epoch how often each
subscription visited, sealed with AES-256-GCM. The market gives the key with "settled" and says it again with a sale; the
aggregator keeps no key, the market never sees what is sealed, so neither alone can tell who visited.
"""

from __future__ import annotations

import secrets
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db.models import Count

from aggregation.epochs import split
from aggregation.server.errors import Conflict
from aggregation.server.models import Sale, Shares, Visit
from aggregation.wire import cbor
from aggregation.wire.secret import Secret

NONCE = 12
LABEL = b"cssi/v1/shares"


@dataclass(frozen=True, kw_only=True)
class SaleOrder:
    """A sold model: the individuals' part in base units, and per epoch the key its shares were sealed under."""

    sale_id: uuid.UUID
    job_id: uuid.UUID
    amount: int
    keys: Mapping[int, Secret]


def keep(epoch: int, jobs: Iterable[uuid.UUID], key: Secret) -> None:
    """Seal the visits of an epoch for some of its jobs, before they are deleted. Doing it again changes nothing."""
    for job_id in sorted(set(jobs)):
        visits = Visit.objects.filter(epoch=epoch, job_id=job_id)
        counts = Counter(dict(visits.values_list("subscription_key").annotate(Count("pk"))))
        if not counts or Shares.objects.filter(job_id=job_id, epoch=epoch).exists():
            continue
        nonce = secrets.token_bytes(NONCE)
        body = cbor.encode([[bytes.fromhex(name), count] for name, count in sorted(counts.items())])
        sealed = nonce + AESGCM(key.reveal()).encrypt(nonce, body, _bound(job_id, epoch))
        Shares.objects.create(job_id=job_id, epoch=epoch, visits=counts.total(), sealed=sealed)


def kept(job_id: uuid.UUID) -> dict[str, object]:
    """Which epochs' visits are kept for a job, and how many visits those are."""
    rows = list(Shares.objects.filter(job_id=job_id).order_by("epoch"))
    return {"epochs": [row.epoch for row in rows], "visits": sum(row.visits for row in rows)}


def parts(order: SaleOrder) -> dict[str, int]:
    """What each subscription gets of a sale, by its visits.

    Raises:
        Conflict: the sale was stated before, a key is missing or wrong, or no visits are kept for the job.
    """
    if Sale.objects.filter(pk=order.sale_id).exists():
        raise Conflict("This sale was stated in an earlier epoch.")
    weights: Counter[str] = Counter()
    for row in Shares.objects.filter(job_id=order.job_id):
        key = order.keys.get(row.epoch)
        if key is None:
            raise Conflict(f"The key of epoch {row.epoch} is missing.")
        weights.update(_open(row, key))
    if not weights:
        raise Conflict("No visits are kept for this job, so there is nobody to split among.")
    return split(order.amount, weights)


def remember(order: SaleOrder, epoch: int) -> None:
    Sale.objects.create(pk=order.sale_id, job_id=order.job_id, amount=order.amount, epoch=epoch)


def _open(row: Shares, key: Secret) -> dict[str, int]:
    sealed = bytes(row.sealed)
    try:
        body = AESGCM(key.reveal()).decrypt(sealed[:NONCE], sealed[NONCE:], _bound(row.job_id, row.epoch))
    except InvalidTag as error:
        raise Conflict(f"The key of epoch {row.epoch} does not open what is kept.") from error
    return {bytes(name).hex(): count for name, count in cbor.decode(body)}


def _bound(job_id: uuid.UUID, epoch: int) -> bytes:
    return LABEL + job_id.bytes + epoch.to_bytes(4, "big")
