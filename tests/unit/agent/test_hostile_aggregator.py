"""A hostile aggregator: whatever it says on a visit's line, the visit ends with a fixed word in the journal and the agent lives on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregation.wire import cbor
from collectives.training.checkpoint import checkpoint_hash
from tests.unit.agent import documents
from tests.unit.agent.test_hostile_server import VALUES, Attack, OpenGate
from tests.unit.agent.test_inbox import Scene, scene_with
from tests.unit.agent.world import World
from wallets.agent.consent import Rule
from wallets.agent.journal import Kind

HONEST_ZEROS = b"\0" * 12
FRAMES = st.fixed_dictionaries(
    {"t": st.sampled_from(["secagg", "slot", "done", "error", "ack", "trained", "cut", "joined", "new"])},
    optional=dict.fromkeys(("m", "path", "outcome", "reason", "code", "text", "of"), VALUES),
)


class Fuzzing:
    """One loop, one wallet, and what went wrong without anybody waiting for it."""

    def __init__(self, directory: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.unseen: list[str] = []
        self.loop.set_exception_handler(lambda _, what: self.unseen.append(str(what)))
        self.world = World()
        self.run(self.world.__aenter__())
        self.scene: Scene = self.run(scene_with(directory, self.world, Rule.WEB))
        self.scene.agent.gate = OpenGate()

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    async def visit(self, frames: list[dict[str, Any]]) -> str:
        """One visit in which the aggregator says these frames; the word it ended with."""
        world, scene = self.world, self.scene
        world.members.clear()
        before = len(await self._outcomes())
        world.frames[:] = [frame for frame in world.frames if frame["t"] == "hello"]
        attack = await Attack.prepare(scene)
        manifest_hash = bytes.fromhex(documents.manifest_hash(documents.MANIFEST))
        header = attack.header(checkpoint_hash=checkpoint_hash(manifest_hash, 0, HONEST_ZEROS))
        world.payload = cbor.encode({"manifest": documents.manifest_bytes(), "weights": HONEST_ZEROS})
        body, signature = world.collective.task(header, documents.now())
        ident = await world.invite(scene.pseudonym, body, signature, 100)
        assert (await world.answer_to(ident))["t"] == "accept"
        await world.deliver(scene.pseudonym, ident, header.manifest_hash)
        await world.until(lambda: bool(world.members))
        (job_key,) = world.members
        for frame in frames:
            await world.say(job_key, frame)
        await world.say(job_key, {"t": "error", "code": "over", "text": "The round is over."})
        async with asyncio.timeout(20):
            while len(codes := await self._outcomes()) == before:
                await asyncio.sleep(0.01)
        return codes[-1]

    async def _outcomes(self) -> list[str]:
        """How visits ended; that a receipt was not confirmed before is said beside it."""
        return [code for code in await self.scene.codes(Kind.OUTCOME) if code != "unconfirmed"]


@pytest.fixture(scope="module")
def fuzzing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzing]:
    made = Fuzzing(tmp_path_factory.mktemp("fuzz"))
    yield made
    made.run(made.scene.host.stop())
    made.run(made.world.stop())
    made.loop.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.lists(FRAMES, min_size=1, max_size=4))
def test_no_frame_on_a_visits_line_does_more_than_end_the_visit(
    fuzzing: Fuzzing, frames: list[dict[str, Any]]
) -> None:
    ended = fuzzing.run(fuzzing.visit(frames))
    assert ended
    assert len(ended) <= 40
    assert fuzzing.unseen == []
    assert not fuzzing.scene.host._running[fuzzing.scene.name].done()
    assert fuzzing.run(fuzzing.scene.agent.permit(fuzzing.world.collective.id)) is not None


def test_a_message_of_the_protocol_out_of_order_ends_it(fuzzing: Fuzzing) -> None:
    assert fuzzing.run(fuzzing.visit([{"t": "secagg", "m": b"\xa0"}])) in {
        "out_of_order",
        "over",
        "worker_lost",
    }
    assert fuzzing.run(fuzzing.visit([{"t": "secagg", "m": None}])) == "bad_frame"
    assert fuzzing.run(fuzzing.visit([{"t": "secagg"}])) == "bad_frame"
    assert fuzzing.run(fuzzing.visit([{"t": "error", "code": "", "text": ""}])) == "unnamed"
    assert fuzzing.run(fuzzing.visit([{"t": "done", "outcome": "x" * 90}])) == "x" * 20
