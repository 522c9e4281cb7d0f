"""`PUT /aggregator/slots/<token>`: one masked input, streamed to the spool and added to the running sum soon after.

The token and the announced size are judged before a byte is read. 201 means stored and counted; the same input again is 200
(sealing makes its bytes differ each time, so it is the opened message that is compared); another one is 409.
"""

from __future__ import annotations

import errno
import hashlib
import io
import logging
import os
from contextlib import AbstractContextManager
from dataclasses import dataclass

from aggregation.secagg.errors import Fault, ProtocolError, RemoteProtocolError
from aggregation.secagg.server import accept_masked_pieces
from aggregation.server import config, context, hub, tokens
from aggregation.server.errors import AggregatorError, PhaseOver
from aggregation.server.models import MaskedInput, Participant
from aggregation.server.raw_http import Answer, Receive, Scope, Send, content_length, send_answer
from aggregation.server.services import spool
from aggregation.server.services.ingest import Kind, Said, Seat
from aggregation.server.states import OVER, Step
from aggregation.server.uploads import body
from aggregation.wire.errors import WireError

logger = logging.getLogger(__name__)
PREFIX = "/aggregator/slots/"


@dataclass(frozen=True, kw_only=True)
class Slot:
    """A slot whose token is right."""

    seat: Seat
    smallest: int
    largest: int
    stored: bool


class SlotApp:
    """The ASGI application for masked inputs."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            status = await self._take(scope, receive)
            answer = Answer(status)
        except Answer as refusal:
            answer = refusal
        except (AggregatorError, WireError) as error:
            answer = Answer(int(getattr(error, "status", 400)), error.code, str(error))
        except OSError as error:  # the spool's disk is full or gone; nothing was acknowledged, so the wallet sends it again
            logger.warning(
                "a masked input could not be stored (%s)", errno.errorcode.get(error.errno or 0, "OSError")
            )
            answer = Answer(503, "no_room", "There is no room for the masked input now; send it again.")
        await send_answer(send, answer)

    async def _take(self, scope: Scope, receive: Receive) -> int:
        if scope["method"] != "PUT":
            raise Answer(405, "method_not_allowed", "Use PUT.")
        here = hub.current()
        named = tokens.read_slot_token(scope["path"].removeprefix(PREFIX))
        slot = await self._slot(here, *named) if named else None
        if slot is None:
            raise Answer(404, "unknown_slot", "There is no such slot.")
        length = content_length(scope)
        if not slot.smallest <= length <= slot.largest:
            raise Answer(413, "wrong_size", "The masked input has another size than the round's vectors.")
        take = self._in_memory if length <= config.SMALL_INPUT else self._on_disk
        stored = await take(here, slot, receive, length)
        if stored:
            here.folding.stored(slot.seat.round, length)
        return 201 if stored else 200

    async def _in_memory(self, here: hub.Hub, slot: Slot, receive: Receive, length: int) -> bool:
        """Whether it was new; it is written with whatever else is stored at that moment."""
        async with here.turns.turn(slot.seat.participant) as upload:
            sealed = b"".join([piece async for piece in body(receive, length, upload)])
        digest = await here.uploads.run(_judge, slot, spool.opening(io.BytesIO(sealed), len(sealed)))
        said = Said(kind=Kind.MASKED, seat=slot.seat, digest=digest, body=sealed)
        return await here.ingest.put(said) == "stored"

    async def _on_disk(self, here: hub.Hub, slot: Slot, receive: Receive, length: int) -> bool:
        """Whether it was new; no more of it than a piece is in memory."""
        seat = slot.seat
        part = spool.slot_file(seat.round, f"{seat.participant}-{os.urandom(6).hex()}")
        kept = False
        try:
            async with here.turns.turn(seat.participant) as upload:
                with part.open("wb") as out:
                    async for piece in body(receive, length, upload):
                        out.write(piece)
                        del piece
            digest = await here.uploads.run(_judge, slot, spool.opened(seat.round, part.name))
            said = Said(kind=Kind.MASKED, seat=seat, digest=digest, file=part.name)
            kept = await here.ingest.put(said) == "stored"
        finally:
            if not kept:
                part.unlink(missing_ok=True)
        return kept

    async def _slot(self, here: hub.Hub, round_id: int, participant: int) -> Slot | None:
        """From the hub's memory while the phase runs (storing decides again), else from the database."""
        seat = here.seat_of(participant)
        if seat is not None and here.step_of(round_id) is Step.MASKED_INPUT:
            return _slot(seat, stored=False)
        return await here.uploads.run(_find, round_id, participant)


def _slot(seat: Seat, *, stored: bool) -> Slot:
    size = context.of(seat.round).header.masked_bytes
    return Slot(seat=seat, smallest=size, largest=size + spool.ENVELOPE_BYTES, stored=stored)


def _find(round_id: int, participant: int) -> Slot | None:
    rows = Participant.objects.select_related("round").defer("round__sum")
    who = rows.filter(pk=participant, round_id=round_id).first()
    if who is None:
        return None
    step = Step(who.round.step)
    stored = MaskedInput.objects.filter(participant=who).exists()
    if step in OVER or (step is not Step.MASKED_INPUT and not stored):
        raise PhaseOver("The phase of masked inputs is over.")
    seat = Seat(
        participant=who.pk,
        round=round_id,
        job_key=bytes.fromhex(who.job_key),
        subscription_key=who.subscription_key,
        ticket=who.ticket,
        hub=who.hub,
        step=step,
    )
    return _slot(seat, stored=stored)


def _judge(slot: Slot, source: AbstractContextManager[spool.SealedFile]) -> str:
    """The digest of the opened input, after every check.

    Raises:
        SealError, ProtocolError: it is not what this slot is for.
    """
    here = context.of(slot.seat.round)
    bucket, _ = here.roster.locate(slot.seat.job_key)
    joined = here.joined.get(bucket.index, ())
    try:
        with source as sealed:
            claim = accept_masked_pieces(bucket, sealed.read, joined=joined, sender=slot.seat.job_key)
            if sealed.left:
                raise RemoteProtocolError(Fault.WRONG_SIZE)
    except ProtocolError as error:
        raise AggregatorError(str(error), code=error.code) from None
    # With the sender, whose slot this is, and the round these two are all of the message; the vector is not hashed twice.
    return hashlib.sha256(claim.signature + claim.y).hexdigest()
