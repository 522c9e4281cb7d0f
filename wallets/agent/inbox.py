"""What the distributor sends, decided: mail, jobs, places in logs, invitations, deliveries.

Every decision follows one pattern: in one transaction read the permit and the memory, let the machine decide, write the
new memory and the journal; only after the commit does an answer leave.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aggregation.secagg.messages import Enrolment
from aggregation.wire import signing
from collectives.terms.permit import Permit
from wallets.agent import (
    credentials,
    journal,
    leaving,
    ledger,
    letters,
    membership,
    notices,
    permits,
    plain_json,
    settings,
    standing,
)
from wallets.agent.consent import Rule
from wallets.agent.errors import NotFound, Unreachable, WalletError
from wallets.agent.identity import SubscriptionKeys
from wallets.agent.journal import Kind
from wallets.agent.ledger import Ledger
from wallets.agent.material import missing_for, present
from wallets.agent.messages import (
    AboutToLeave,
    Accept,
    Choice,
    ChoiceKept,
    Enrol,
    EnrolLater,
    JobArrived,
    LogFrozen,
    Memory,
    NoticeAnswered,
    NoticeArrived,
    NoticeKept,
    Placed,
    Refusal,
    Refused,
    TaskArrived,
    Visit,
)
from wallets.agent.names import uuid_bytes, uuid_text
from wallets.agent.rounds import Delivery
from wallets.agent.vault import Records

if TYPE_CHECKING:
    from wallets.agent.agent import WalletAgent

_ANSWERED = {
    Choice.WITH: "You continue with the announced algorithm",
    Choice.WITHOUT: "You continue without the announced algorithm",
    Choice.LEAVE: "You leave because of the announced algorithm",
}


class Inbox:
    """The handlers of one agent's distributor session."""

    def __init__(self, agent: WalletAgent) -> None:
        self._agent = agent
        self._invited: dict[bytes, Visit] = {}

    async def _admitted(self, kind: str, to: bytes) -> bool:
        """Whether one more frame of this kind for this key may be looked at now."""
        if self._agent.gate.admits(kind, to.hex(), self._agent.now()):
            return True
        await self._agent.note_refusal(Refusal.TOO_MANY, collective_id=self._agent.routes.get(to, ""))
        return False

    async def on_mail(self, *, to: bytes, kind: str, body: bytes) -> str | None:
        """Handle one mail; the outcome to acknowledge with, or None to have it delivered again later."""
        if not await self._admitted("mail", to):
            return None
        document = plain_json.loads(body)
        if to == self._agent.mailbox:
            if kind == "offer":
                return await self._on_offer(document)
            return await self._on_choice(document) if kind == "notice" else "refused"
        collective_id = self._agent.routes.get(to)
        if collective_id is None:
            return "refused"
        if kind == "notice":
            return await self._on_notice(collective_id, document)
        if kind == "revoked":
            await leaving.forget(self._agent, collective_id)
            return "done"
        if kind == "standing":
            return await standing.on_letter(
                self._agent, to=to, collective_id=collective_id, document=document
            )
        return "refused"

    async def _on_offer(self, offer: dict[str, Any]) -> str | None:
        try:
            await membership.subscribe(
                self._agent, offer, through_pairing=True, attempts=membership.WHILE_OPEN
            )
            return "done"
        except Unreachable:
            return None
        except WalletError as error:
            self._agent.event("not_subscribed", code=error.code)
            return "refused"

    async def _on_choice(self, document: dict[str, Any]) -> str | None:
        """The holder answered a notice on the web; taken as said only where a rule of the holder's covers it."""
        if self._agent.consent.rule is Rule.ASK:
            return "refused"
        try:
            await self.answer_notice(
                str(document["collective_id"]),
                str(document["notice_ref"]),
                Choice(document["choice"]),
                how="on the web",
            )
        except NotFound:
            return None  # the notice itself has not come yet
        return "done"

    async def _on_notice(self, collective_id: str, envelope: dict[str, Any]) -> str:
        async with self._agent.store.transaction() as records:
            permit, memory = await _standing(records, collective_id)
            event = NoticeArrived(envelope=envelope, permit=permit, memory=memory, now=self._agent.now())
            decision = self._agent.machine.decide(event)
            if isinstance(decision, Refused):
                await self._refuse(records, decision, collective_id)
                return "refused"
            assert isinstance(decision, NoticeKept)
            if not decision.repeated:
                await records.put("memory", collective_id, decision.memory.to_record())
                await notices.keep(records, collective_id, decision.seen.notice_ref, envelope)
                await journal.append(
                    records,
                    self._agent.now(),
                    Kind.NOTICE,
                    collective_id=collective_id,
                    sentence=decision.seen.reason[:200],
                )
            stored = await records.get("permit", collective_id)
            assert stored is not None  # without a permit the machine keeps no notice
            known = await notices.announced(records, collective_id, stored, decision.seen)
        if not decision.seen.choice:
            choice = await self._agent.consent.to_notice(known.name, known.sentences)
            if choice is not None:
                await self.answer_notice(collective_id, decision.seen.notice_ref, choice)
        return "done"

    async def answer_notice(
        self, collective_id: str, notice_ref: str, choice: Choice, *, how: str = "in the wallet"
    ) -> None:
        """Keep the holder's choice, tell the collective when it can be reached, and leave when asked to.

        The date plays no part: an answer counts before it and after it, from the very next task on.
        """
        async with self._agent.store.transaction() as records:
            _, memory = await _standing(records, collective_id)
            decision = self._agent.machine.decide(
                NoticeAnswered(notice_ref=notice_ref, choice=choice, memory=memory)
            )
            if isinstance(decision, Refused):
                raise NotFound("There is no such notice.")
            assert isinstance(decision, ChoiceKept)
            await records.put("memory", collective_id, decision.memory.to_record())
            await letters.queue_notice_answer(self._agent, records, collective_id, notice_ref, choice)
            await journal.append(
                records,
                self._agent.now(),
                Kind.NOTICE,
                collective_id=collective_id,
                code=choice.value,
                sentence=f"{_ANSWERED[choice]} (answered {how}).",
            )
        if decision.leave:
            await leaving.revoke(self._agent, collective_id)
        else:
            await self._agent.flush_outgoing()

    async def on_job(self, *, to: bytes, body: bytes) -> bytes | None:
        """The signed enrolment in a job, or None to decline."""
        if not await self._admitted("job", to):
            return None
        collective_id = self._agent.routes.get(to, "")
        envelope = plain_json.loads(body)
        while True:
            async with self._agent.store.transaction() as records:
                permit, memory = await _standing(records, collective_id)
                event = JobArrived(envelope=envelope, permit=permit, memory=memory, now=self._agent.now())
                decision = self._agent.machine.decide(event)
                if isinstance(decision, Refused):
                    await self._refuse(records, decision, collective_id)
                    return None
                if isinstance(decision, Enrol):
                    return await self._enrol(records, collective_id, decision)
            assert isinstance(decision, EnrolLater)
            await asyncio.sleep(max(0.05, decision.at - self._agent.now()))

    async def _enrol(self, records: Records, collective_id: str, decision: Enrol) -> bytes:
        job = decision.job
        known = await records.get("jobkey", job.job_id)
        if known is not None:
            return bytes.fromhex(known["enrolment"])
        private = signing.generate(self._agent.rng)
        keys = SubscriptionKeys.from_record(await present(records, "keys", collective_id))
        enrolment = Enrolment.sign(
            keys.subscription,
            job=uuid_bytes(job.job_id),
            collective=uuid_bytes(collective_id),
            manifest_hash=bytes.fromhex(job.manifest_hash),
            job_key=signing.public_key(private),
            expires=job.expires,
        ).to_bytes()
        record = {
            "private": private.reveal().hex(),
            "enrolment": enrolment.hex(),
            "collective_id": collective_id,
        }
        await records.put("jobkey", job.job_id, record)
        await records.put("memory", collective_id, decision.memory.to_record())
        await journal.append(
            records, self._agent.now(), Kind.ENROLLED, collective_id=collective_id, job=job.job_id
        )
        self._agent.event("enrolled")
        return enrolment

    async def on_enrolled(
        self,
        *,
        to: bytes,
        job: bytes,
        index: int,
        size: int,
        root: bytes,
        proof: tuple[bytes, ...],
        signature: bytes,
    ) -> None:
        """Check and keep our place in a job's frozen log."""
        if not await self._admitted("enrolled", to):
            return
        collective_id, job_id = self._agent.routes.get(to, ""), uuid_text(job)
        async with self._agent.store.transaction() as records:
            _, memory = await _standing(records, collective_id)
            key = await records.get("jobkey", job_id)
            decision = self._agent.machine.decide(
                LogFrozen(
                    job_id=job_id,
                    leaf=Enrolment.from_bytes(bytes.fromhex(key["enrolment"])).leaf() if key else b"",
                    index=index,
                    size=size,
                    root=root,
                    proof=proof,
                    signature=signature,
                    memory=memory,
                )
            )
            if isinstance(decision, Refused):
                await self._refuse(records, decision, collective_id, job=job_id)
            elif isinstance(decision, Placed):
                await records.put("memory", collective_id, decision.memory.to_record())

    async def on_invite(self, *, ident: bytes, to: bytes, body: bytes, signature: bytes) -> str | None:
        """None to accept, else the vague word to decline with."""
        known = self._invited.get(ident)
        if known is not None:
            return await self._accept_again(known)
        if not await self._admitted("invite", to):
            return Refusal.TOO_MANY.wire
        collective_id = self._agent.routes.get(to, "")
        async with self._agent.store.transaction() as records:
            stored = await records.get("permit", collective_id)
            event = TaskArrived(
                body=body,
                signature=signature,
                permit=permits.permit_of(stored),
                memory=Memory.from_record(await records.get("memory", collective_id)),
                missing=await self._missing(records, stored) if stored else (),
                now=self._agent.now(),
                sandbox_fits=self._agent.sandbox_fits(permits.sandbox_of(stored)),
            )
            decision = self._agent.machine.decide(event)
            if isinstance(decision, Refused):
                await self._refuse(records, decision, collective_id)
                return decision.refusal.wire
            assert isinstance(decision, Accept)
            accounted = self._agent.machine.account(
                decision.visit,
                Ledger.from_record(await records.get(*ledger.RECORD)),
                await settings.budgets(records),
                formal=permits.formal_of(stored),
                now=event.now,
            )
            if isinstance(accounted, Refused):
                await self._refuse(records, accounted, collective_id)
                return accounted.refusal.wire
            await records.put(*ledger.RECORD, accounted.to_record())
            await records.put("memory", collective_id, decision.memory.to_record())
            job_id, number = decision.visit.job.job_id, decision.visit.task.round
            await journal.append(
                records,
                self._agent.now(),
                Kind.ACCEPTED,
                collective_id=collective_id,
                job=job_id,
                round=number,
            )
        self._invited[ident] = decision.visit
        self._agent.event("accepted", round=number)
        return None

    async def _missing(self, records: Records, stored: dict[str, Any]) -> tuple[str, ...]:
        record = await credentials.load(records)
        return missing_for(stored, record, remembered=self._agent.compared)

    async def _accept_again(self, visit: Visit) -> str | None:
        """The acceptance may have been lost with the socket: the round is used up, but for this very invitation."""
        permit = await self._agent.permit(visit.collective_id)
        decision = self._agent.machine.decide(AboutToLeave(visit=visit, permit=permit, now=self._agent.now()))
        return decision.refusal.wire if isinstance(decision, Refused) else None

    def on_deliver(self, *, ident: bytes, path: str, token: str, ticket: bytes) -> None:
        """Start the visit of an accepted task; a repeated delivery changes nothing."""
        visit = self._invited.pop(ident, None)
        if visit is None:
            return
        session = self._agent.round_session(
            self._agent, visit, Delivery(path=path, token=token, ticket=ticket)
        )
        task = asyncio.get_running_loop().create_task(session.run())
        running = self._agent.visits.setdefault(visit.collective_id, set())
        running.add(task)
        task.add_done_callback(running.discard)

    async def on_cancelled(self, *, ident: bytes, reason: str) -> None:
        """Fewer accepted than needed: nothing was delivered and nothing is owed."""
        visit = self._invited.pop(ident, None)
        if visit is not None:
            await self._agent.record(
                Kind.OUTCOME,
                collective_id=visit.collective_id,
                job=visit.job.job_id,
                round=visit.task.round,
                code="cancelled",
                sentence=reason,
            )

    async def _refuse(
        self, records: Records, refused: Refused, collective_id: str, **what: str | int
    ) -> None:
        await self._agent.note_refusal(
            refused.refusal, refused.sentence, records=records, collective_id=collective_id, **what
        )

    def forget_invitations(self, collective_id: str) -> None:
        """Drop accepted invitations of a collective: a delivery for them starts nothing."""
        for ident in [
            ident for ident, visit in self._invited.items() if visit.collective_id == collective_id
        ]:
            del self._invited[ident]


async def _standing(records: Records, collective_id: str) -> tuple[Permit | None, Memory]:
    permit = permits.permit_of(await records.get("permit", collective_id))
    return permit, Memory.from_record(await records.get("memory", collective_id))
