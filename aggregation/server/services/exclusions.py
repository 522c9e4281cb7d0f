"""Wallets that are not asked any more: told so with the reason, heard, and asked again when an administrator says so.

The aggregator makes no outgoing call: letters wait until the distributor fetches them. It stops asking the wallet, and leaves it
the letter, which is signed here, so that nobody else can tell a wallet such a thing.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from django.db import transaction
from django.db.models import F

from aggregation.server import config
from aggregation.server.errors import Conflict, Malformed, Unknown
from aggregation.server.models import ALIAS, Exclusion, Suspicion
from aggregation.tampering.offenders import Account
from aggregation.wire import signing

LABEL = b"cssi/v1/standing"
State = Exclusion.State
LETTERS_AT_ONCE = 500


def exclude(*, collective_id: uuid.UUID, key: str, account: Account) -> None:
    """Ask this wallet no more; nothing happens when it is excluded already. Inside the caller's transaction."""
    standing = Exclusion.objects.filter(collective_id=collective_id, subscription_key=key)
    if standing.exclude(state=State.REINSTATED).exists():
        return
    made = Exclusion(
        collective_id=collective_id,
        subscription_key=key,
        visits=account.visits + 1,
        hits=account.hits + 1,
        one_in=int(1 / account.odds),
        at=config.now(),
    )
    made.letter = _letter(made, _accusation(made))
    made.save(force_insert=True)


def _accusation(made: Exclusion) -> str:
    return (
        f"In {made.hits} of {made.visits} rounds the sum this wallet was in stood out from all other sums. Buckets are drawn by "
        f"lot in every round; at most one in {made.one_in:,} wallets that answer as agreed ever sees that so often. The wallet is not "
        "asked any more; visits it has proven are paid. If this is wrong, say so: an administrator reads every appeal."
    )


def appeal(*, collective_id: uuid.UUID, key: str, text: str) -> bool:
    """What a holder says to an exclusion; may be said anew until it is decided. False when it was said in the same words before.

    Raises:
        Unknown: this wallet is not excluded.
        Conflict: it was decided already.
    """
    with transaction.atomic(using=ALIAS):
        row = (
            Exclusion.objects.select_for_update()
            .filter(collective_id=collective_id, subscription_key=key)
            .order_by("-at")
            .first()
        )
        if row is None or row.state == State.REINSTATED:
            raise Unknown(
                "This wallet is not excluded; there is nothing to appeal against.", code="not_excluded"
            )
        if row.state != State.EXCLUDED:
            raise Conflict("This appeal was decided already.", code="decided")
        if row.appeal == text:
            return False
        row.appeal, row.appealed_at = text, config.now()
        row.save(update_fields=["appeal", "appealed_at"])
        return True


def decide(*, exclusion_id: uuid.UUID, reinstate: bool, reason: str, by: str) -> Exclusion:
    """An administrator's word on an exclusion, with or without an appeal; the wallet is told the reason.

    Who is reinstated begins with a clean sheet.

    Raises:
        Malformed: no reason.
        Unknown: no such exclusion.
        Conflict: it was taken back before, or upheld before and is upheld again.
    """
    if not reason.strip():
        raise Malformed("Say why: the wallet's holder is told the reason.", code="reason_missing")
    with transaction.atomic(using=ALIAS):
        row = Exclusion.objects.select_for_update().filter(pk=exclusion_id).first()
        if row is None:
            raise Unknown("There is no such exclusion.")
        if row.state == State.REINSTATED or (row.state == State.UPHELD and not reinstate):
            raise Conflict("This was decided already.", code="decided")
        row.state = State.REINSTATED if reinstate else State.UPHELD
        row.decision, row.decided_at, row.decided_by = reason.strip()[:500], config.now(), by[:150]
        row.revision += 1
        row.letter = _letter(row, row.decision)
        row.save()
        if reinstate:
            Suspicion.objects.filter(
                collective_id=row.collective_id, subscription_key=row.subscription_key
            ).delete()
    return row


def appeals_waiting() -> int:
    """How many holders wait for an administrator's word."""
    return Exclusion.objects.filter(state=State.EXCLUDED, appealed_at__isnull=False).count()


def _letter(row: Exclusion, reason: str) -> str:
    """JSON for the wallet; the signature covers all other fields."""
    body: dict[str, Any] = {
        "version": 1,
        "collective_id": str(row.collective_id),
        "subscription_key": row.subscription_key,
        "state": str(row.state),
        "revision": row.revision,
        "reason": reason,
        "created": config.now(),
    }
    signature = signing.sign(config.private_key(), LABEL, body).hex()
    return json.dumps({**body, "signature": signature})


def letters() -> list[dict[str, Any]]:
    """What the distributor has not fetched yet."""
    waiting = Exclusion.objects.filter(handed__lt=F("revision")).order_by("at")[:LETTERS_AT_ONCE]
    return [
        {
            "id": str(row.pk),
            "collective_id": str(row.collective_id),
            "subscription_key": row.subscription_key,
            "state": row.state,
            "revision": row.revision,
            "letter": row.letter,
        }
        for row in waiting
    ]


def handed(exclusion_id: uuid.UUID, revision: int) -> None:
    """The distributor has this letter and those before it."""
    Exclusion.objects.filter(pk=exclusion_id, handed__lt=revision, revision__gte=revision).update(
        handed=revision
    )
