"""Whole rounds over real sockets: agents, sandbox and the protocol's own server core, with cuts, deaths and revocations."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from aggregation.secagg.messages import PresenceReceipt
from aggregation.wire import signing
from tests.unit.agent import documents
from tests.unit.agent.rounds import Round
from tests.unit.agent.world import World
from wallets.agent import output
from wallets.agent.consent import Rule
from wallets.agent.errors import SandboxError
from wallets.agent.journal import Kind
from wallets.agent.messages import HolderPolicy
from wallets.agent.round_line import Step, VisitOver
from wallets.agent.sandbox.launcher import Launcher
from wallets.host.faults import Fault, FaultKind, HostedRoundSession
from wallets.host.host import Host
from wallets.host.spy import Spy

WALLETS = 6
RECORDS = [{"height": i + 0.5, "weight": 9.5 - i, "ill": i % 2 == 0} for i in range(WALLETS)]
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def launcher() -> AsyncIterator[Launcher]:
    made = Launcher(slots=2)
    await made.start()
    yield made
    await made.close()


class Scene:
    """A world with an enrolled, frozen job and six hosted agents."""

    def __init__(self, world: World, host: Host, names: list[str]) -> None:
        self.world, self.host, self.names = world, host, names

    async def enrol(self) -> None:
        """Announce a job, collect enrolments, freeze."""
        key = signing.public_key(self.world.distributor_key).hex()
        self.job = self.world.collective.job(
            documents.now(),
            distributor_key=key,
            aggregator_key=signing.public_key(self.world.aggregator_key).hex(),
        )
        self.enrolments = await self.world.enrol_all(self.job)
        self.log = await self.world.freeze(self.job["document"]["job_id"], self.enrolments)

    def round(self, number: int, **changes: Any) -> Round:
        """Round `number` of the job on zero weights."""
        return Round(
            self.world,
            job_id=self.job["document"]["job_id"],
            number=number,
            log=self.log,
            enrolments=self.enrolments,
            **changes,
        )

    def total(self, number: int) -> tuple[np.ndarray[Any, Any], int]:
        """What the spy says the sum must be."""
        assert self.host.spy is not None
        return self.host.spy.total(self.job["document"]["job_id"], number)

    async def journal(self, name: str, *kinds: Kind) -> list[str]:
        """Codes of a wallet's journal entries."""
        return [entry.code for entry in await self.host.wallet(name).journal.entries(kinds=kinds)]


async def hosted(directory: Path, world: World, launcher: Launcher) -> Scene:
    """Six agents on one host, subscribed, connected and enrolled in a job of this world."""
    host = Host(
        directory,
        now=documents.now,
        rng=secrets.token_bytes,
        server_document=world.description(),
        rule=Rule.HOST,
        policy=HolderPolicy(allow_development=True),
        launcher=launcher,
        spy=Spy(),
    )
    await host.start()
    names = await host.create_wallets(RECORDS)
    assert (await host.subscribe(names, world.collective.id))["subscribed"] == WALLETS
    await world.until(lambda: sum(len(line.keys) for line in world.lines) == WALLETS)
    made = Scene(world, host, names)
    await made.enrol()
    return made


@pytest_asyncio.fixture(loop_scope="module")
async def scene(tmp_path: Path, launcher: Launcher) -> AsyncIterator[Scene]:
    async with World(development=True, bucket_min=3, release_min=3) as world:
        made = await hosted(tmp_path / "host", world, SharedLauncher(launcher))
        yield made
        await made.host.stop()


class SharedLauncher(Launcher):
    """One torch parent for all tests: a host that stops does not end it."""

    def __init__(self, shared: Launcher) -> None:
        self.__dict__ = shared.__dict__

    async def close(self) -> None:
        """Kept for the next test."""


async def test_six_wallets_sum_bit_for_bit(scene: Scene) -> None:
    done = await scene.round(1).run()
    expected, count = scene.total(1)
    assert count == WALLETS
    assert done.count == WALLETS
    assert np.array_equal(done.sum, expected)
    assert any(expected)
    for name in scene.names:
        assert await scene.journal(name, Kind.VISIT) == ["receipt"]
        assert await scene.journal(name, Kind.OUTCOME) == ["released"]
        assert await scene.host.wallet(name).journal.verify() is None


async def test_the_receipts_are_what_a_ledger_needs(scene: Scene) -> None:
    done = await scene.round(1).run()
    receipts = [PresenceReceipt.from_bytes(m.got["receipt"]) for m in scene.world.members.values()]
    for receipt in receipts:
        receipt.verify()
        assert receipt.header_hash == done.header.hash()
        assert receipt.ticket == done.tickets[receipt.job_key]
    stated = {s["presence"]["commitment"] for s in scene.world.subscribers.values()}
    assert {receipt.data_commitment.hex() for receipt in receipts} == stated


async def test_several_rounds_and_never_the_same_twice(scene: Scene) -> None:
    for number in (1, 3):
        done = await scene.round(number).run()
        assert np.array_equal(done.sum, scene.total(number)[0])
    for stale in (1, 2, 3):
        answers = await scene.round(stale).invite_only()
        assert {answer["t"] for answer in answers} == {"decline"}
        assert {answer["code"] for answer in answers} == {"no"}
    assert (await scene.journal(scene.names[0], Kind.REFUSED)) == ["replayed_round"] * 3


async def test_an_acceptance_lost_with_the_socket_is_given_again(scene: Scene) -> None:
    round_ = scene.round(1)
    await round_.invite_only()
    key, ident = next(iter(round_.invitations.items()))
    task, signature = scene.world.collective.task(round_.header, documents.now())
    scene.world.frames.clear()
    frame = {"t": "invite", "id": ident, "to": key, "task": task, "sig": signature, "cohort_size": WALLETS}
    await scene.world._to(key, frame)
    assert (await scene.world.answer_to(ident))["t"] == "accept"
    again = await scene.world.invite(key, task, signature, WALLETS)
    assert (await scene.world.answer_to(again))["t"] == "decline"  # another invitation to the same round


@pytest.mark.parametrize("after", [Step.ADVERTISE, Step.SHARE_KEYS, Step.MASKED_INPUT])
async def test_a_cut_socket_comes_back_and_the_sum_is_whole(scene: Scene, after: Step) -> None:
    scene.host.faults.add(Fault(round=1, kind=FaultKind.CUT, after=after, count=2))
    done = await scene.round(1).run()
    expected, _ = scene.total(1)
    assert done.count == WALLETS
    assert np.array_equal(done.sum, expected)
    assert len(scene.host.faults.faults[0].suffered) == 2


@pytest.mark.parametrize(
    "after, counted", [(Step.ADVERTISE, 5), (Step.SHARE_KEYS, 5), (Step.MASKED_INPUT, 6)]
)
async def test_a_wallet_that_dies_is_survived(scene: Scene, after: Step, counted: int) -> None:
    scene.host.faults.add(Fault(round=1, kind=FaultKind.DIE, after=after))
    done = await scene.round(1).run()
    assert done.count == counted
    assert np.array_equal(done.sum, scene.total(1)[0])
    second = await scene.round(2).run()
    assert second.count == WALLETS  # it is back in the next round


async def test_missing_data_is_said_before_a_receipt(scene: Scene) -> None:
    scene.host.faults.add(Fault(round=1, kind=FaultKind.LOSE_DATA))
    done = await scene.round(1).run()
    assert done.count == WALLETS - 1
    assert sorted(m.cannot for m in scene.world.members.values())[-1] == "requirements"
    (poor,) = scene.host.faults.faults[0].suffered
    assert await scene.journal(poor, Kind.VISIT) == []
    assert "data_missing" in await scene.journal(poor, Kind.REFUSED)
    assert sum("receipt" in m.got for m in scene.world.members.values()) == WALLETS - 1


async def test_a_failing_algorithm_is_said_after_the_receipt(scene: Scene) -> None:
    scene.host.faults.add(Fault(round=1, kind=FaultKind.FAIL_ALGORITHM))
    done = await scene.round(1).run()
    assert done.count == WALLETS - 1
    failed = [m for m in scene.world.members.values() if m.cannot]
    assert [m.cannot for m in failed] == ["failed"]
    assert "receipt" in failed[0].got  # it is owed
    (unlucky,) = scene.host.faults.faults[0].suffered
    assert await scene.journal(unlucky, Kind.VISIT) == ["receipt"]


async def test_how_long_the_work_took_stays_in_the_wallet(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that wants to say something by its time, whether it answers or fails, is heard at one of few moments."""
    work = {name: 0.02 + 0.09 * number for number, name in enumerate(scene.names)}  # seconds
    failing, took = scene.names[0], {}

    def slow(shared: Launcher, name: str) -> Launcher:
        class Slow(SharedLauncher):
            async def train(self, job: Any, *, started: Any = None) -> bytes:
                started()
                await asyncio.sleep(work[name])
                if name == failing:
                    raise SandboxError("x", code="failed")
                return bytes(4 * job.dimension)

        return Slow(shared)

    whole = HostedRoundSession._train

    async def timed(session: Any) -> None:
        began = asyncio.get_running_loop().time()
        await whole(session)
        took[session.agent.name] = asyncio.get_running_loop().time() - began

    monkeypatch.setattr(HostedRoundSession, "_train", timed)
    for name in scene.names:
        agent = scene.host.wallet(name)
        monkeypatch.setattr(agent, "launcher", slow(agent.launcher, name))
    done = await scene.round(1).run()
    assert done.count == WALLETS - 1
    assert [m.cannot for m in scene.world.members.values() if m.cannot] == ["failed"]
    assert {output.moment(seconds) for seconds in work.values()} == {0.125, 0.25, 0.5}
    assert sorted(took) == sorted(work)
    assert all(took[name] >= output.moment(seconds) - 0.01 for name, seconds in work.items())


async def test_a_revoking_wallet_refuses_from_that_instant(scene: Scene) -> None:
    leaver, job_id = scene.names[2], scene.job["document"]["job_id"]
    told: list[str] = []

    class Leaving(HostedRoundSession):
        async def stepped(self, step: Step) -> None:
            await super().stepped(step)
            if self.agent.name == leaver and step is Step.ADVERTISE and not told:
                told.append(step)
                asyncio.get_running_loop().create_task(scene.host.revoke(leaver, scene.world.collective.id))

    agent = scene.host.wallet(leaver)
    agent.round_session = lambda *what: Leaving(scene.host, *what)
    done = await scene.round(1).run()
    assert done.count == WALLETS - 1
    assert np.array_equal(done.sum, scene.total(1)[0])
    assert await agent.store.list("permit") == {}
    assert await agent.store.get("jobkey", job_id) is None
    answers = await scene.round(2).invite_only()
    assert sorted(answer["t"] for answer in answers) == ["accept"] * (WALLETS - 1) + ["decline"]
    assert (await scene.journal(leaver, Kind.REFUSED))[-1] == "no_permit"


async def test_a_receipt_nobody_confirmed_stays_in_the_journal_of_a_wallet_that_leaves(scene: Scene) -> None:
    leaver = scene.names[2]
    told: list[str] = []

    class Leaving(HostedRoundSession):
        async def stepped(self, step: Step) -> None:
            await super().stepped(step)
            if self.agent.name == leaver and step is Step.RECEIPT and not told:
                told.append(step)
                asyncio.get_running_loop().create_task(scene.host.revoke(leaver, scene.world.collective.id))
                await asyncio.sleep(5)  # the confirmation is there and is never read

    agent = scene.host.wallet(leaver)
    agent.round_session = lambda *what: Leaving(scene.host, *what)
    done = await scene.round(1).run()
    assert done.count == WALLETS - 1
    assert await scene.journal(leaver, Kind.VISIT) == []
    assert (await scene.journal(leaver, Kind.OUTCOME))[-1] == "unconfirmed"


async def test_a_confirmed_receipt_is_written_down_though_the_wallet_leaves_at_that_moment(
    scene: Scene,
) -> None:
    leaver = scene.names[2]

    class Leaving(HostedRoundSession):
        async def _record(self, kind: Kind, code: str, sentence: str = "", amount: int = 0) -> None:
            if self.agent.name == leaver and kind is Kind.VISIT:
                asyncio.get_running_loop().create_task(scene.host.revoke(leaver, scene.world.collective.id))
                await asyncio.sleep(0.3)  # the store is busy with the revocation
            await super()._record(kind, code, sentence, amount)

    scene.host.wallet(leaver).round_session = lambda *what: Leaving(scene.host, *what)
    done = await scene.round(1).run()
    assert done.count == WALLETS - 1
    assert await scene.host.wallet(leaver).store.list("permit") == {}
    assert await scene.journal(leaver, Kind.VISIT) == ["receipt"]
    assert await scene.journal(leaver, Kind.OUTCOME) == []


async def test_a_wallet_that_may_not_come_back_after_a_cut_says_that_its_receipt_may_have_arrived(
    scene: Scene,
) -> None:
    lonely = scene.names[2]

    class Cut(HostedRoundSession):
        async def stepped(self, step: Step) -> None:
            await super().stepped(step)
            if step is Step.RECEIPT and self.agent.name == lonely:
                self._drop_socket()  # before the confirmation is read

        async def _join(self) -> None:
            if self._receipts_sent and self.agent.name == lonely:
                raise VisitOver("not_in_cohort")
            await super()._join()

    scene.host.wallet(lonely).round_session = lambda *what: Cut(scene.host, *what)
    done = await scene.round(1).run()
    assert done.count == WALLETS - 1
    assert await scene.journal(lonely, Kind.VISIT) == []
    assert await scene.journal(lonely, Kind.OUTCOME) == ["unconfirmed", "not_in_cohort"]


async def test_another_model_than_the_task_names_is_refused_before_a_receipt(scene: Scene) -> None:
    round_ = scene.round(1)
    round_.world.payload = round_.payload(np.array([1.0, 2.0, 3.0], "<f4"))
    with pytest.raises(TimeoutError):
        await round_.run(payload=scene.world.payload, seconds=3)
    assert all("receipt" not in m.got for m in scene.world.members.values())
    assert "wrong_payload" in await scene.journal(scene.names[0], Kind.REFUSED)


async def test_a_cancelled_invitation_costs_nothing(scene: Scene) -> None:
    round_ = scene.round(1)
    await round_.invite_only()
    for key, ident in round_.invitations.items():
        await scene.world._to(key, {"t": "cancelled", "id": ident, "reason": "short"})
    agent = scene.host.wallet(scene.names[0])
    async with asyncio.timeout(5):
        while "cancelled" not in await scene.journal(scene.names[0], Kind.OUTCOME):
            await asyncio.sleep(0.05)
    assert await scene.journal(scene.names[0], Kind.VISIT) == []
    assert agent.inbox._invited == {}


async def test_nothing_a_wallet_sent_shows_its_numbers_or_its_keys_plainly(scene: Scene) -> None:
    await scene.round(1).run()
    sent = b"".join(scene.world.raw)
    assert scene.host.spy is not None
    vectors = scene.host.spy.vectors[scene.job["document"]["job_id"], 1]
    assert len(vectors) == WALLETS
    for vector in vectors.values():
        assert vector.astype("<u4").tobytes() not in sent
        assert vector.astype("<i8").tobytes() not in sent
    for member in scene.world.members.values():
        for message in member.got.values():
            assert message not in sent  # every body for the aggregator was sealed


async def test_a_server_that_asks_twice_gets_the_same_answer_and_never_another(scene: Scene) -> None:
    done = await scene.round(1, repeat_everything=True).run()
    assert done.count == WALLETS
    assert np.array_equal(done.sum, scene.total(1)[0])
    for name in scene.names:
        assert len(await scene.host.wallet(name).store.list("revealed")) == 1
