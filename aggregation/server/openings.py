"""Small sealed bodies from wallets: `PUT /aggregator/payout-openings`, where a subscription is paid, stored apart from visits; and
`PUT /aggregator/appeals`, what a holder says to an exclusion."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from weakref import WeakKeyDictionary

from django.db import IntegrityError, transaction

from aggregation.secagg.messages import Appeal, PayoutOpening
from aggregation.server import config, hub
from aggregation.server.batching import Batcher
from aggregation.server.errors import AggregatorError
from aggregation.server.models import ALIAS, PayoutAddress
from aggregation.server.raw_http import Answer, Receive, Scope, Send, chunks, content_length, send_answer
from aggregation.server.services import exclusions
from aggregation.wire.errors import WireError

LABEL = b"cssi/v1/payout-opening"
APPEAL_LABEL = b"cssi/v1/appeal"
MOST = 4096
MOST_APPEAL = 8192


class SealedApp:
    """An ASGI application that takes a sealed body of at most `most` bytes and answers with the status `store` gives."""

    def __init__(self, store: Callable[[bytes], Awaitable[int]], most: int) -> None:
        self._store, self._most = store, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] != "PUT":
                raise Answer(405, "method_not_allowed", "Use PUT.")
            length = content_length(scope)
            if length > self._most:
                raise Answer(413, "too_large", f"Such a body has at most {self._most} bytes.")
            sealed = b"".join([chunk async for chunk in chunks(receive, length)])
            answer = Answer(await self._store(sealed))
        except Answer as refusal:
            answer = refusal
        except WireError as error:
            answer = Answer(400, error.code, str(error))
        except AggregatorError as error:
            answer = Answer(error.status, error.code, str(error))
        await send_answer(send, answer)


def store(sealed: bytes) -> int:
    """201 stored, 200 the same again.

    Raises:
        WireError: it does not open, or is not signed by the subscription key it names.
        Answer: 409, another address was stored for this key.
    """
    (outcome,) = store_together([sealed])
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def store_together(batch: Sequence[bytes]) -> list[int | Exception]:
    """What `store` says to each of them, in one transaction: many wallets of a host subscribe at once."""
    outcomes: list[int | Exception] = []
    new: dict[str, PayoutAddress] = {}
    opened = [_opened(sealed) for sealed in batch]
    keys = {_key(opening) for opening in opened if isinstance(opening, PayoutOpening)}
    try:
        with transaction.atomic(using=ALIAS):
            rows = PayoutAddress.objects.filter(pk__in=keys).values_list("pk", "opening")
            known = {key: bytes(opening) for key, opening in rows}
            for opening in opened:
                if isinstance(opening, Exception):
                    outcomes.append(opening)
                    continue
                key, text = _key(opening), opening.to_bytes()
                if key not in known:
                    known[key] = text
                    new[key] = PayoutAddress(
                        subscription_key=key, address=opening.address.hex(), opening=text
                    )
                    outcomes.append(201)
                else:
                    outcomes.append(200 if known[key] == text else _conflict())
            PayoutAddress.objects.bulk_create(new.values())
    except IntegrityError:  # another process stored one of them since the look: now it is found
        return store_together(batch)
    return outcomes


def _opened(sealed: bytes) -> PayoutOpening | WireError:
    try:
        opening = PayoutOpening.from_bytes(config.recipient().unseal(LABEL, sealed))
        opening.verify()
    except WireError as error:
        return error
    return opening


def _key(opening: PayoutOpening) -> str:
    return opening.subscription_key.hex()


def _conflict() -> Answer:
    return Answer(409, "conflict", "Another payout address was stored for this subscription.")


def store_appeal(sealed: bytes) -> int:
    """201 stored, 200 the same again.

    Raises:
        WireError: it does not open, or is not signed by the subscription key it names.
        AggregatorError: this wallet is not excluded, or its appeal was decided.
    """
    said = Appeal.from_bytes(config.recipient().unseal(APPEAL_LABEL, sealed))
    said.verify()
    new = exclusions.appeal(
        collective_id=uuid.UUID(bytes=said.collective),
        key=said.subscription_key.hex(),
        text=said.text.decode(),
    )
    return 201 if new else 200


_gathering: WeakKeyDictionary[hub.Hub, Batcher[bytes, int]] = WeakKeyDictionary()
"""A process has one hub at a time; a test has several, one after the other."""


async def _gathered(sealed: bytes) -> int:
    here = hub.current()
    if here not in _gathering:
        _gathering[here] = Batcher(here.uploads, store_together)
    return await _gathering[here].put(sealed)


async def _appealed(sealed: bytes) -> int:
    return await hub.current().uploads.run(store_appeal, sealed)


OPENINGS = SealedApp(_gathered, MOST)
APPEALS = SealedApp(_appealed, MOST_APPEAL)
