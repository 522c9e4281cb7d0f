"""Small sealed bodies from wallets: `PUT /aggregator/payout-openings`, where a subscription is paid, stored apart from visits; and
`PUT /aggregator/appeals`, what a holder says to an exclusion."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable

from aggregation.secagg.messages import Appeal
from aggregation.server import config, hub
from aggregation.server.errors import AggregatorError
from aggregation.server.raw_http import Answer, Receive, Scope, Send, chunks, content_length, send_answer
from aggregation.server.services import exclusions
from aggregation.wire.errors import WireError

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


async def _stored(sealed: bytes) -> int:
    return await hub.current().payouts.put(sealed)


async def _appealed(sealed: bytes) -> int:
    return await hub.current().uploads.run(store_appeal, sealed)


OPENINGS = SealedApp(_stored, MOST)
APPEALS = SealedApp(_appealed, MOST_APPEAL)
