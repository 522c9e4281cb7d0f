"""Drives one round at the scripted server with the real protocol core, phase by phase."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aggregation.secagg import server as core
from aggregation.secagg.messages import (
    Enrolment,
    Header,
    ListsRequest,
    Survivors,
    SurvivorsRequest,
    cohort_randomness,
)
from aggregation.wire import cbor, signing
from collectives.training.checkpoint import checkpoint_hash
from tests.unit.agent import documents
from tests.unit.agent.world import Member, World

QUIET_SECONDS = 1.0  # after this much silence a phase closes without the wallets that are missing


@dataclass(kw_only=True)
class Done:
    """How a round ended."""

    header: Header
    sum: np.ndarray[Any, Any]
    count: int
    tickets: dict[bytes, bytes] = field(default_factory=dict)


class Round:
    """One round of a job. `repeat_everything`: say every message of the aggregator twice."""

    def __init__(
        self,
        world: World,
        *,
        job_id: str,
        number: int,
        log: core.MemberLog,
        enrolments: list[Enrolment],
        repeat_everything: bool = False,
    ) -> None:
        self.world, self.log, self.enrolments = world, log, enrolments
        self._repeat = repeat_everything
        self.weights = np.zeros(3, "<f4")
        manifest_hash = bytes.fromhex(documents.manifest_hash(documents.MANIFEST))
        self.header = documents.header(
            job_id,
            log_root=log.root,
            log_size=log.size,
            distributor_key=signing.public_key(world.distributor_key),
            round=number,
            checkpoint_hash=checkpoint_hash(manifest_hash, number - 1, self.weights.tobytes()),
            bucket_size=6,
            bucket_min=3,
            release_min=3,
            noise_micro=60_000,
            development=True,
        )
        self.invitations: dict[bytes, bytes] = {}
        world.members = {}
        world.slots = {}

    def payload(self, weights: np.ndarray[Any, Any]) -> bytes:
        """A payload with the usual manifest."""
        return cbor.encode({"manifest": documents.manifest_bytes(), "weights": weights.tobytes()})

    async def invite_only(self) -> list[dict[str, Any]]:
        """Invite every enrolled wallet; their answers."""
        task, signature = self.world.collective.task(self.header, documents.now())
        for enrolment in self.enrolments:
            key = enrolment.subscription_key
            self.invitations[key] = await self.world.invite(key, task, signature, len(self.enrolments))
        return [await self.world.answer_to(ident) for ident in self.invitations.values()]

    async def run(self, *, payload: bytes | None = None, seconds: float = 20.0) -> Done:
        """The whole round."""
        self.world.payload = payload or self.payload(self.weights)
        answers = await self.invite_only()
        accepted = {answer["id"] for answer in answers if answer["t"] == "accept"}
        tickets = {}
        for enrolment in self.enrolments:
            ident = self.invitations[enrolment.subscription_key]
            if ident in accepted:
                ticket = await self.world.deliver(
                    enrolment.subscription_key, ident, self.header.manifest_hash
                )
                tickets[enrolment.job_key] = ticket
        async with asyncio.timeout(seconds):
            done = await self._aggregate(len(tickets), tickets)
        done.tickets = tickets
        return done

    async def _aggregate(self, expected: int, tickets: dict[bytes, bytes]) -> Done:
        await self._collect("advertise", expected)
        advertises = [
            core.accept_advertise(self.header, m.got["advertise"], log=self.log, now=documents.now())
            for m in self.members("advertise").values()
        ]
        roster = core.assign_buckets(
            self.header, advertises, log=self.log, randomness=cohort_randomness(tickets.values())
        )
        roster = roster.signed(ListsRequest.from_bytes(roster.request()).sign(self.world.distributor_key))
        (bucket,) = roster.buckets
        for key in self.members("advertise"):
            await self._say(key, bucket.list_for(bucket.position(key)))
        await self._collect("share_keys", len(self.members("advertise")))
        shares = {
            bucket.position(k): core.accept_share_keys(bucket, m.got["share_keys"], sender=k)
            for k, m in self.members("share_keys").items()
        }
        joined = core.close_share_keys(bucket, shares)
        for key in self.members("share_keys"):
            await self._say(key, core.bundle_for(bucket, shares, joined, bucket.position(key)))
            await self.world.say(
                key, {"t": "slot", "path": f"/aggregator/slots/{key.hex()}", "token": key.hex()}
            )
        await self._collect_slots(len(joined))
        return await self._unmask(roster, bucket, shares, joined)

    async def _unmask(self, roster: Any, bucket: Any, shares: Any, joined: Any) -> Done:
        accumulator = core.Accumulator(self.header)
        alive = []
        for token in self.world.slots:
            key = bytes.fromhex(token)
            masked = core.accept_masked(bucket, self.world.unsealed_slot(token), joined=joined, sender=key)
            accumulator.add(masked.y)
            alive.append(bucket.position(key))
        statement = core.close_masked(roster, {bucket.index: sorted(alive)})
        statement = statement.signed(
            SurvivorsRequest.from_bytes(statement.request()).sign(self.world.distributor_key)
        )
        survivors: Survivors = statement.for_bucket(bucket.index)
        keys = [bytes.fromhex(token) for token in self.world.slots]
        for key in keys:
            await self._say(key, survivors.to_bytes())
        await self._collect("consistency", len(keys))
        agreed = {
            bucket.position(k): core.accept_consistency(bucket, survivors, m.got["consistency"], sender=k)
            for k, m in self.members("consistency").items()
        }
        for key in self.members("consistency"):
            await self._say(key, core.consistency_for(bucket, survivors, agreed, bucket.position(key)))
        await self._collect("unmask", len(agreed))
        unmasks = {
            bucket.position(k): core.accept_unmask(bucket, survivors, joined, m.got["unmask"], sender=k)
            for k, m in self.members("unmask").items()
        }
        result = core.unmask(bucket, shares, joined, survivors, unmasks, accumulator)
        for key in self.world.members:
            await self.world.say(key, {"t": "done", "outcome": "released", "reason": ""})
        await self._quiet()
        return Done(header=self.header, sum=result.sum, count=result.count)

    def members(self, step: str) -> dict[bytes, Member]:
        """Members that sent the message of a step."""
        return {key: member for key, member in self.world.members.items() if step in member.got}

    async def _say(self, key: bytes, message: bytes) -> None:
        for _ in range(2 if self._repeat else 1):
            await self.world.say(key, {"t": "secagg", "m": message})

    async def _collect(self, step: str, expected: int) -> None:
        await self._settled(lambda: len(self.members(step)), expected)

    async def _collect_slots(self, expected: int) -> None:
        await self._settled(lambda: len(self.world.slots), expected)

    async def _settled(self, count: Callable[[], int], expected: int) -> None:
        """All expected came, or nothing more came for a while."""
        while count() < expected:
            before = count()
            try:
                await self.world.until(lambda before=before: count() > before, QUIET_SECONDS)  # type: ignore[misc]
            except TimeoutError:
                if count():
                    return

    async def _quiet(self) -> None:
        """Let the wallets finish what they write after the end."""
        await asyncio.sleep(0.3)
