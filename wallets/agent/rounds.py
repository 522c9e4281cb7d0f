"""One visit: fetch the model, prove presence, train in the sandbox, take part in the aggregation phases.

The socket to the aggregator may be cut at any time; the session joins again and repeats what was not acknowledged. What
was answered once is answered the same way again to the same message, and never to another one. The permit is looked up in
the store before anything leaves: when it is gone, the socket is closed and nothing more is said.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from aggregation.secagg.client import SecAggClient
from aggregation.secagg.errors import ProtocolError
from aggregation.wire import sealing
from collectives.terms.algorithm import ONE_SHOT, question_hash
from collectives.terms.permit import Permit
from wallets.agent import output, permits
from wallets.agent.errors import (
    OutputRefused,
    ProtocolFault,
    SandboxError,
    Unreachable,
    WalletError,
)
from wallets.agent.journal import Kind
from wallets.agent.messages import AboutToLeave, PayloadArrived, Refusal, Refused, Visit
from wallets.agent.patience import patiently
from wallets.agent.payload import Payload, encode_job, open_payload
from wallets.agent.round_line import RoundLine, Step, VisitOver
from wallets.agent.rules import marked, objection
from wallets.agent.session import MALFORMED

if TYPE_CHECKING:
    from wallets.agent.agent import WalletAgent

TRY_AGAIN = {408, 429, 503}
"""Too slow, one upload runs already, no room: the same upload may succeed later."""
SEAL_SLOT = b"cssi/v1/slot"
PAYLOAD_BYTES = 64 * 1024 * 1024
SHORTEST_WAIT, LONGEST_WAIT = 0.2, 5.0
GRACE_SECONDS = 60
CANNOT_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What the distributor's `deliver` frame said."""

    path: str
    token: str
    ticket: bytes


class RoundSession(RoundLine):
    """One visit of one wallet. `run` always returns (or is cancelled); it never raises on what a server did."""

    def __init__(self, agent: WalletAgent, visit: Visit, delivery: Delivery) -> None:
        super().__init__(agent, visit)
        self._delivery = delivery
        self._pending: dict[str, Any] | None = None
        self._answers: dict[bytes, dict[str, Any] | None] = {}  # by hash of what was answered
        self._heard = 0
        self._may_reveal = False
        self._slot: dict[str, Any] | None = None
        self._client: SecAggClient | None = None
        self._training: asyncio.Task[None] | None = None
        self._payload: Payload | None = None
        self._receipt_acknowledged = False
        self._receipts_sent = 0
        self._noting: asyncio.Task[None] | None = None  # the journal's line of a visit that is owed
        self._trained: str | None = None  # "" when training succeeded, else the fixed code of the failure
        self._update: Any = None
        self._input: bytes | None = None
        self._permit: Permit | None = None  # as of this revision of the store's permits
        self._revision: int | None = None

    async def run(self) -> None:
        """Take part in the round from the delivered ticket to its end."""
        header = self.visit.header
        try:
            async with asyncio.timeout(sum(header.phase_seconds().values()) + GRACE_SECONDS):
                await self._prepare()
                await self._take_part()
            outcome = VisitOver("done")
        except VisitOver as over:
            outcome = over
        except TimeoutError:
            outcome = VisitOver("late", "The round took longer than announced.")
        except (ProtocolError, WalletError) as error:
            outcome = VisitOver(error.code, str(error))
        except asyncio.CancelledError:
            # The permit was deleted, or the agent stops: nothing more is said, not even goodbye.
            self._drop_socket()
            await self._close_books()
            raise
        finally:
            if self._training is not None:
                self._training.cancel()
            if self._client is not None:
                self._client.close()
            if self._material is not None:
                self._material.erase()
            await self._hang_up()
        await self._close_books()
        await self._record(Kind.OUTCOME, outcome.code, outcome.sentence)
        self.agent.event("visit_over", code=outcome.code, round=self.visit.task.round)

    async def _close_books(self) -> None:
        """The journal says of every receipt that left what this wallet knows: owed, or on its way when the visit ended.

        In the second case the aggregator may have it, and then the visit is owed and paid.
        """
        if self._noting is not None:
            await self._noting
        if not self._receipts_sent or self._receipt_acknowledged:
            return
        await self._record(
            Kind.OUTCOME,
            "unconfirmed",
            "The proof that your data was present was on its way when this visit ended. If it arrived, the visit is paid.",
        )
        self.agent.event("visit_unconfirmed", round=self.visit.task.round)

    async def _prepare(self) -> None:
        """Fetch and check the model and the data. Whatever is wrong is said before a receipt, so nothing is owed."""
        revision = self.agent.store.revision("permit")
        self._material = await self.agent.material(self.visit)
        if revision is not None:  # what was read stands until the store says otherwise
            self._permit, self._revision = permits.permit_of(self._material.permit), revision
        raw = await patiently(self._fetch, rng=self.agent.rng)
        self._payload = open_payload(raw, self.visit.task)
        permit = await self._current_permit()
        decision = self.agent.machine.decide(
            PayloadArrived(
                visit=self.visit,
                permit=permit,
                manifest_hash=self._payload.manifest_hash,
                checkpoint_hash=self._payload.checkpoint_hash,
                weights_in_range=self._payload.weights_in_range,
                trap=self._payload.trap,
                missing=self._material.missing,
                now=self.agent.now(),
            )
        )
        if isinstance(decision, Refused):
            await self._refuse(decision)
        refusal = objection(self._payload.manifest, self.visit.header, remembered=self.agent.remembered)
        if refusal is None and self._question and await self.agent.has_answered(self._question):
            refusal = Refusal.ANSWERED_ONCE
        if refusal is not None:
            await self._refuse(Refused(refusal=refusal))

    @property
    def _question(self) -> str:
        """What is asked, when it is answered only once; else empty."""
        manifest = self._payload.manifest if self._payload is not None else None
        return question_hash(manifest) if manifest is not None and manifest.output.kind in ONE_SHOT else ""

    async def _refuse(self, refused: Refused) -> None:
        await self._record(Kind.REFUSED, refused.refusal.value, refused.sentence)
        if refused.refusal not in {Refusal.NO_PERMIT, Refusal.PERMIT_EXPIRED, Refusal.PERMIT_CHANGED}:
            await self._say_cannot("requirements" if refused.refusal is Refusal.DATA_MISSING else "declined")
        raise VisitOver(refused.refusal.value, refused.sentence)

    async def _say_cannot(self, code: str) -> None:
        with suppress(Unreachable, TimeoutError):
            async with asyncio.timeout(CANNOT_SECONDS):
                if self._socket is None:
                    await self._join()
                await self._send({"t": "cannot", "code": code})
                while (await self._inbox.get())["t"] not in {"ack", "done", "error", "cut"}:
                    pass

    async def _take_part(self) -> None:
        wait = SHORTEST_WAIT
        while True:
            try:
                if self._socket is None:
                    await self._join()
                await self._repeat()
                wait = SHORTEST_WAIT
                while True:
                    await self._on_message(await self._inbox.get())
            except Unreachable:
                await self._hang_up()
                await asyncio.sleep(wait)
                wait = min(LONGEST_WAIT, wait * 2)

    async def _repeat(self) -> None:
        """After joining: the receipt first, or again whatever was not acknowledged before the cut."""
        if self._pending is not None:
            await self._may_leave()
            self._receipts_sent += self._pending["t"] == "receipt"
            await self._send(self._pending)
        elif not self._receipt_acknowledged:
            await self._leave(
                {"t": "receipt", "m": self._held().receipt(self.visit, self._delivery.ticket)},
                Step.RECEIPT,
            )
        elif self._trained is not None:
            await self._inbox.put(
                {"t": "trained"}
            )  # it may have gone into the inbox of the socket that was cut

    async def _on_message(self, message: dict[str, Any]) -> None:
        handler = self._HANDLERS.get(message["t"])
        if handler is not None:
            try:
                await handler(self, message)
            except MALFORMED:
                raise ProtocolFault("The aggregator sent a malformed message.", code="bad_frame") from None

    async def _on_cut(self, message: dict[str, Any]) -> None:
        raise Unreachable("The connection was cut.", code=message.get("code", "cut"))

    async def _on_ack(self, message: dict[str, Any]) -> None:
        if self._pending is None:
            return
        acknowledged = self._pending["t"]
        self._pending = None
        if acknowledged == "receipt" and not self._receipt_acknowledged:
            self._receipt_acknowledged = True
            task = self.visit.task
            # What is owed is written down also when the visit is stopped at this very moment.
            sentence = "Your data was proven present; this visit is owed."
            note = self._record(Kind.VISIT, "receipt", sentence, task.rate)
            self._noting = asyncio.get_running_loop().create_task(note)
            await asyncio.shield(self._noting)
            self.agent.event("visit", round=task.round)
            self._training = asyncio.get_running_loop().create_task(self._train())

    async def _on_trained(self, message: dict[str, Any]) -> None:
        if self._client is not None or self._trained is None:
            return
        await self.stepped(Step.TRAINED)
        if self._trained:
            await self._may_leave()
            await self._say_cannot("failed")
            raise VisitOver(
                self._trained, "The algorithm failed after your data was proven present; the visit is owed."
            )
        self._client = SecAggClient(
            self.visit.header,
            self._held().job_key,
            rng=self.agent.rng,
            note_revealed=self._note_revealed,
            remembered=self.agent.remembered,
        )
        await self._leave({"t": "secagg", "m": self._client.advertise()}, Step.ADVERTISE)

    async def _on_secagg(self, message: dict[str, Any]) -> None:
        incoming = message["m"]
        name = sha256(incoming).digest()
        if name in self._answers:
            await self._answer_again(self._answers[name])
            return
        if self._client is None:
            raise ProtocolFault("The aggregator is ahead of this wallet.", code="out_of_order")
        await self._answer(self._client, incoming)

    async def _answer_again(self, answer: dict[str, Any] | None) -> None:
        if answer is not None:
            await self._may_leave()
            await self._send(answer)

    async def _answer(self, client: SecAggClient, incoming: bytes) -> None:
        """The four messages of the aggregator come in one order; the client refuses any other."""
        self._heard += 1
        name = sha256(incoming).digest()
        if self._heard == 1:
            reply, step = client.receive_list(incoming, now=self.agent.now()), Step.SHARE_KEYS
        elif self._heard == 2:
            client.receive_shares(incoming)
            self._input = self._seal_input(client.mask(self._update))
            self._pending, self._answers[name] = None, None
            if self._slot is not None:
                await self._on_slot(self._slot)
            return
        elif self._heard == 3:
            reply, step = client.receive_survivors(incoming), Step.CONSISTENCY
        else:
            await self._may_leave()
            # Durable before the answer exists: after a crash this wallet never answers a second time.
            self._may_reveal = await self.agent.note_revealed(self.visit)
            reply, step = client.receive_consistency(incoming), Step.UNMASK
        message = {"t": "secagg", "m": reply}
        self._answers[name] = message
        await self._leave(message, step)

    def _note_revealed(self, job: bytes, number: int) -> bool:
        """The client's question before unmasking; the note was written just before it was asked."""
        noted, self._may_reveal = self._may_reveal, False
        return noted and (job, number) == (self.visit.task.job, self.visit.task.round)

    def _seal_input(self, masked: bytes) -> bytes:
        """Sealed once: a repeated upload must be the same bytes."""
        return sealing.seal(self.agent.server.aggregator_seal_key, SEAL_SLOT, masked, self.agent.rng)

    async def _on_slot(self, message: dict[str, Any]) -> None:
        self._slot = message
        sealed = self._input
        if sealed is None:
            return  # taken up when the shares have come
        await self._may_leave()
        path = str(message["path"])
        if not path.startswith("/"):
            raise ProtocolFault("The slot's address leads elsewhere.", code="bad_frame")
        if self._question:
            await self.agent.note_answered(self.visit, self._question)

        async def put() -> int:
            url = self.agent.server.aggregator_http + path
            status = (await self.agent.transport.request("PUT", url, content=sealed)).status
            if status in TRY_AGAIN:
                raise Unreachable("The aggregator had no time for the masked input; it is sent again.")
            return status

        status = await patiently(put, rng=self.agent.rng)
        if status not in {200, 201}:
            raise VisitOver(f"slot_{status}", "The aggregator did not take the masked input.")
        await self.stepped(Step.MASKED_INPUT)

    async def _on_done(self, message: dict[str, Any]) -> None:
        await self.stepped(Step.DONE)
        reason = "" if message["outcome"] == "released" else str(message.get("reason", ""))[:200]
        raise VisitOver(_word(message["outcome"], 20), reason)

    async def _on_error(self, message: dict[str, Any]) -> None:
        if self._receipts_sent == 1:
            # Refused, so nothing is owed. Of a receipt that was sent again the first may have been taken.
            self._receipts_sent = 0
        raise VisitOver(_word(message["code"], 40), str(message.get("text", ""))[:200])

    _HANDLERS: dict[str, Callable[[RoundSession, dict[str, Any]], Awaitable[None]]] = {
        "cut": _on_cut,
        "ack": _on_ack,
        "trained": _on_trained,
        "secagg": _on_secagg,
        "slot": _on_slot,
        "done": _on_done,
        "error": _on_error,
    }

    async def _train(self) -> None:
        """Train in the sandbox and apply the output contract; the outcome goes through the inbox like any message."""
        assert self._payload is not None
        code, clock = "", asyncio.get_running_loop().time
        began = clock()

        def started() -> None:
            nonlocal began
            began = clock()  # how long others were before it says nothing of this wallet

        try:
            held = self._held()
            job = encode_job(self._payload, held.record, held.requirement, self.agent.rng(32))
            raw = await self.agent.launcher.train(job, started=started)
            header = self.visit.header
            with_mark = marked(self._payload.manifest, header)
            self._update = output.contract(raw, header, self.agent.rng, marked=with_mark)
            self.agent.spy_on(self.visit, self._update)
        except (SandboxError, OutputRefused) as error:
            code = error.code
        # Success and failure alike leave at one of few moments: how long the work took stays here.
        await asyncio.sleep(max(0.0, output.moment(clock() - began) - (clock() - began)))
        self._trained = code
        await self._inbox.put({"t": "trained"})

    async def _leave(self, message: dict[str, Any], step: Step) -> None:
        await self._may_leave()
        self._pending = message
        self._receipts_sent += message["t"] == "receipt"
        await self._send(message)
        await self.stepped(step)

    async def _may_leave(self) -> None:
        permit = await self._current_permit()
        event = AboutToLeave(visit=self.visit, permit=permit, now=self.agent.now())
        decision = self.agent.machine.decide(event)
        if isinstance(decision, Refused):
            raise VisitOver(decision.refusal.value, decision.sentence)

    async def _current_permit(self) -> Permit | None:
        """The permit as it stands now; read again unless the store knows that it is still the one last read."""
        revision = self.agent.store.revision("permit")
        if revision is None or revision != self._revision:
            self._permit = await self.agent.permit(self.visit.collective_id)
            self._revision = revision
        return self._permit

    async def _fetch(self) -> bytes:
        path = str(self._delivery.path)
        if not path.startswith("/"):
            # Behind the pinned origin "@elsewhere" or ".elsewhere" would name another host.
            raise ProtocolFault("The model's address leads elsewhere.", code="bad_frame")
        url = f"{self.agent.server.distributor_http}{path}?{urlencode({'token': str(self._delivery.token)})}"
        answer = await self.agent.transport.request("GET", url, most=PAYLOAD_BYTES)
        if answer.status != 200:
            raise VisitOver(f"payload_{answer.status}", "The model of this round could not be fetched.")
        return answer.body

    async def _record(self, kind: Kind, code: str, sentence: str = "", amount: int = 0) -> None:
        await self.agent.record(
            kind,
            collective_id=self.visit.collective_id,
            job=self.visit.job.job_id,
            round=self.visit.task.round,
            code=code,
            sentence=sentence,
            amount=str(amount),
        )


def _word(value: Any, most: int) -> str:
    """The aggregator's word for how a visit ended, short enough for the journal and never empty."""
    return str(value)[:most] or "unnamed"
