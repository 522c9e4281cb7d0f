"""What a round's bucket sums say about tampering, and what follows: the released sum, and evidence against who was where.

A wallet is never judged by what it sent, which nobody sees; only by how often its bucket stood out, buckets being drawn afresh in
every round.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from aggregation.secagg.messages import Header
from aggregation.secagg.vectors import Integers
from aggregation.server import config
from aggregation.server.models import Bucket, Exclusion, Participant, Round, Suspicion
from aggregation.server.services import exclusions
from aggregation.tampering.offenders import Account, together
from aggregation.tampering.rules import Combined, combine

KEPT_SECONDS = 365 * 24 * 3600
"""Evidence about a wallet that was not visited for so long is forgotten."""
DAY_SECONDS = 24 * 3600
_BATCH = 200


def combined(
    header: Header, sums: Iterator[Integers], counts: Mapping[int, int], *, rule: str
) -> Combined | None:
    """The released sum of bucket sums as they come out; None when none does.

    Args:
        counts: wallets of every bucket that came out, in the order of their sums; filled while `sums` is read.
    """
    if rule == "sum":
        total = np.zeros(header.padded_d, dtype=np.int64)
        for one in sums:
            total += one
            del one  # before the next one is made
        return Combined(total=total, count=sum(counts.values())) if counts else None
    # A sum fits into the ring, so half the memory will do.
    rows = [one.astype(np.int32 if header.ring_bits <= 32 else np.int64, copy=False) for one in sums]
    if not rows:
        return None
    return combine(np.stack(rows), list(counts.values()), rule=rule, least=header.release_min)


def note(row: Round, counts: Mapping[int, int], found: Combined) -> None:
    """Mark the buckets that stood out, and weigh the evidence about everybody in the round; inside the round's transaction."""
    if not found.judged:
        return
    indices = list(counts)
    odd = {indices[place] for place in found.flagged}
    Bucket.objects.filter(round=row, index__in=odd).update(stood_out=True)
    in_bucket = _wallets(row, indices)
    share = sum(counts[index] for index in odd) / sum(counts.values())
    chance = together(sum(counts.values()), max(counts.values()))
    known = {
        one.subscription_key: one
        for one in Suspicion.objects.select_for_update()
        .filter(collective_id=row.job.collective_id, subscription_key__in=list(in_bucket))
        .order_by("pk")
    }
    _weigh(row, in_bucket, odd, known, share=share, chance=chance)


def _wallets(row: Round, indices: list[int]) -> dict[str, int]:
    """Subscription key → bucket, of those whose input is in a sum."""
    survivors = dict(Bucket.objects.filter(round=row, index__in=indices).values_list("index", "survivors"))
    members = {index: set(positions) for index, positions in survivors.items()}
    placed = Participant.objects.filter(round=row, bucket__in=indices).values_list(
        "subscription_key", "bucket", "position"
    )
    return {key: bucket for key, bucket, position in placed if position in members[bucket]}


def _weigh(
    row: Round,
    in_bucket: Mapping[str, int],
    odd: set[int],
    known: Mapping[str, Suspicion],
    *,
    share: float,
    chance: float,
) -> None:
    opened, changed = [], []
    for key, bucket in in_bucket.items():
        hit, suspicion = bucket in odd, known.get(key)
        if suspicion is None:
            if hit:  # the first time opens an account and counts for nothing
                opened.append(_opened(row, key))
            continue
        account = _account(suspicion).after(hit=hit, share=share, chance=chance)
        suspicion.visits, suspicion.hits = account.visits, account.hits
        suspicion.stakes, suspicion.at = list(account.stakes), _today()
        changed.append(suspicion)
        if account.accused:
            exclusions.exclude(collective_id=row.job.collective_id, key=key, account=account)
    Suspicion.objects.bulk_create(opened, batch_size=_BATCH)
    Suspicion.objects.bulk_update(changed, ["visits", "hits", "stakes", "at"], batch_size=_BATCH)


def _opened(row: Round, key: str) -> Suspicion:
    return Suspicion(
        collective_id=row.job.collective_id,
        subscription_key=key,
        stakes=list(Account().stakes),
        at=_today(),
    )


def _today() -> int:
    """Unix seconds of this day's beginning: which round a wallet was in is not to be read from this."""
    return config.now() // DAY_SECONDS * DAY_SECONDS


def _account(suspicion: Suspicion) -> Account:
    return Account(visits=suspicion.visits, hits=suspicion.hits, stakes=tuple(suspicion.stakes))


def forget_old() -> int:
    """Delete evidence about wallets that were not visited for a year and are not excluded; returns how many rows."""
    excluded = Exclusion.objects.exclude(state=Exclusion.State.REINSTATED).values("subscription_key")
    old = Suspicion.objects.filter(at__lt=config.now() - KEPT_SECONDS).exclude(subscription_key__in=excluded)
    # Looked for first: on SQLite a deletion that finds nothing waits for the one writer all the same.
    return old.delete()[0] if old.exists() else 0
