"""`PUT /aggregator/payout-openings`: where a subscription is paid, sealed to the aggregator, stored apart from visits."""

from __future__ import annotations

from django.db import transaction

from aggregation.secagg.messages import PayoutOpening
from aggregation.server import config, hub
from aggregation.server.models import ALIAS, PayoutAddress
from aggregation.server.raw_http import Answer, Receive, Scope, Send, chunks, content_length, send_answer
from aggregation.wire.errors import WireError

LABEL = b"cssi/v1/payout-opening"
MOST = 4096


class OpeningApp:
    """The ASGI application for payout openings."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] != "PUT":
                raise Answer(405, "method_not_allowed", "Use PUT.")
            length = content_length(scope)
            if length > MOST:
                raise Answer(413, "too_large", f"A payout opening has at most {MOST} bytes.")
            sealed = b"".join([chunk async for chunk in chunks(receive, length)])
            answer = Answer(await hub.current().uploads.run(store, sealed))
        except Answer as refusal:
            answer = refusal
        except WireError as error:
            answer = Answer(400, error.code, str(error))
        await send_answer(send, answer)


def store(sealed: bytes) -> int:
    """201 stored, 200 the same again.

    Raises:
        WireError: it does not open, or is not signed by the subscription key it names.
        Answer: 409, another address was stored for this key.
    """
    opening = PayoutOpening.from_bytes(config.recipient().unseal(LABEL, sealed))
    opening.verify()
    with transaction.atomic(using=ALIAS):
        row, created = PayoutAddress.objects.get_or_create(
            subscription_key=opening.subscription_key.hex(),
            defaults={"address": opening.address.hex(), "opening": opening.to_bytes()},
        )
    if created:
        return 201
    if bytes(row.opening) != opening.to_bytes():
        raise Answer(409, "conflict", "Another payout address was stored for this subscription.")
    return 200
