"""Where a subscription is paid: told once by its wallet, sealed and signed, and stored apart from visits."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import IntegrityError, transaction

from aggregation.secagg.messages import PayoutOpening
from aggregation.server import config
from aggregation.server.errors import Conflict
from aggregation.server.models import ALIAS, PayoutAddress
from aggregation.wire.errors import WireError

LABEL = b"cssi/v1/payout-opening"


def store(batch: Sequence[bytes]) -> list[int | Exception]:
    """Sealed openings, in one transaction, as many wallets of a host subscribe at once. For each: 201 stored; 200 the same again; a
    WireError, it does not open or is not signed by the subscription key it names; or a Conflict, another address was stored for this key.
    """
    outcomes: list[int | Exception] = []
    new: list[PayoutAddress] = []
    opened = [_opened(sealed) for sealed in batch]
    keys = {opening.subscription_key.hex() for opening in opened if isinstance(opening, PayoutOpening)}
    try:
        with transaction.atomic(using=ALIAS):
            rows = PayoutAddress.objects.filter(pk__in=keys).values_list("pk", "opening")
            known = {key: bytes(opening) for key, opening in rows}
            for opening in opened:
                if isinstance(opening, Exception):
                    outcomes.append(opening)
                    continue
                key, text = opening.subscription_key.hex(), opening.to_bytes()
                if key not in known:
                    known[key] = text
                    address = opening.address.hex()
                    new.append(PayoutAddress(subscription_key=key, address=address, opening=text))
                    outcomes.append(201)
                elif known[key] == text:
                    outcomes.append(200)
                else:
                    outcomes.append(Conflict("Another payout address was stored for this subscription."))
            PayoutAddress.objects.bulk_create(new)
    except IntegrityError:  # another process stored one of them since the look: now it is found
        return store(batch)
    return outcomes


def _opened(sealed: bytes) -> PayoutOpening | WireError:
    try:
        opening = PayoutOpening.from_bytes(config.recipient().unseal(LABEL, sealed))
        opening.verify()
    except WireError as error:
        return error
    return opening
