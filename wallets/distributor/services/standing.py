"""Wallets the aggregator found in too many buckets that stand out: not asked any more, and told why by its signed letter.

The aggregator makes no outgoing call, so the sweep fetches its letters. A letter is left in the wallet's mailbox, and what it says is done,
in one transaction; only then is it acknowledged, so nothing is lost when either side dies.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.db import transaction

from wallets.distributor import clients, config
from wallets.distributor.errors import Conflict
from wallets.distributor.models import ALIAS, Mail, Subscriber
from wallets.distributor.services.routes import REVOKED_KEPT_SECONDS, leave_mail

REINSTATED = "reinstated"


def fetch() -> int:
    """Take what waits; how many letters.

    Raises:
        AggregatorDown: it is asked again at the next sweep.
    """
    waiting = clients.letters()
    for letter in waiting:
        _take(letter)
        clients.took_letter(uuid.UUID(letter["id"]), int(letter["revision"]))
    return len(waiting)


def _take(letter: dict[str, Any]) -> None:
    key, revision = str(letter["subscription_key"]), int(letter["revision"])
    before, after = Subscriber.State.ACTIVE, Subscriber.State.EXCLUDED
    if letter["state"] == REINSTATED:
        before, after = after, before
    with transaction.atomic(using=ALIAS):
        known = Subscriber.objects.select_for_update().filter(
            collective_id=uuid.UUID(letter["collective_id"]), key=key
        )
        if not known.exclude(state=Subscriber.State.STOPPED).exists():
            return  # it left; there is nobody to tell
        known.filter(state=before).update(state=after)
        try:
            leave_mail(
                key=key,
                ref=f"standing:{letter['id']}:{revision}",
                kind=Mail.Kind.STANDING,
                body=str(letter["letter"]),
                expires=config.now() + REVOKED_KEPT_SECONDS,
            )
        except Conflict:
            return  # an earlier copy of this letter is there already
