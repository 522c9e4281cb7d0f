"""A hostile server, case by case: refused by name in the holder's journal, with a vague word on the wire, and the agent lives on."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregation.secagg.messages import Header
from aggregation.wire import cbor, signing
from tests.unit.agent import documents
from tests.unit.agent.test_inbox import GARBAGE, OTHER, Scene, scene_with
from tests.unit.agent.world import World
from wallets.agent.consent import Consent, Rule
from wallets.agent.gate import MOST_KEYS, RATES, Gate
from wallets.agent.journal import Kind
from wallets.agent.transport import FRAME_BYTES


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with World() as world:
        made = await scene_with(tmp_path, world, Rule.WEB)
        yield made
        await made.host.stop()


class Attack:
    """An enrolled wallet in a frozen log, and a server that may sign with the right keys and still lie."""

    def __init__(self, scene: Scene, job: dict[str, Any], root: bytes, size: int) -> None:
        self.scene, self.job, self._root, self._size = scene, job, root, size

    @classmethod
    async def prepare(cls, scene: Scene) -> Attack:
        world = scene.world
        key = signing.public_key(world.distributor_key).hex()
        job = world.collective.job(documents.now(), distributor_key=key)
        enrolments = await world.enrol_all(job)
        log = await world.freeze(job["document"]["job_id"], enrolments)
        return cls(scene, job, log.root, log.size)

    def header(self, **changes: Any) -> Header:
        return documents.header(
            self.job["document"]["job_id"],
            log_root=self._root,
            log_size=self._size,
            distributor_key=signing.public_key(self.scene.world.distributor_key),
            **changes,
        )

    async def invite(self, task: tuple[bytes, bytes] | None = None, **changes: Any) -> str:
        """What the wire says to a task: "accept", "no" or "later"."""
        world = self.scene.world
        body, signature = task or world.collective.task(self.header(), documents.now(), **changes)
        ident = await world.invite(self.scene.pseudonym, body, signature, 100)
        answer = await world.answer_to(ident)
        assert set(answer) <= {"t", "id", "code"}
        return str(answer.get("code", answer["t"]))


async def test_each_lie_about_a_task_is_refused_by_name(scene: Scene) -> None:
    attack = await Attack.prepare(scene)
    collective, now = scene.world.collective, documents.now()
    header = attack.header()
    stranger = documents.Collective()
    cases: list[tuple[str, tuple[bytes, bytes]]] = [
        ("bad_signature", stranger.task(header, now)),
        ("wrong_collective", stranger.task(header, now, private=collective.private)),
        ("wrong_requirement", collective.task(header, now, requirement=bytes(32))),
        ("rate_too_low", collective.task(header, now, rate=10**15)),
        ("wrong_manifest", collective.task(header, now, manifest=bytes(32))),
        (
            "minima_too_low",
            collective.task(attack.header(bucket_min=3, bucket_size=3, development=True), now),
        ),
        ("noise_too_low", collective.task(attack.header(noise_micro=1), now)),
        ("header_mismatch", collective.task(attack.header(round=2), now, round=1)),
        ("task_expired", collective.task(header, now, expires=now - 1)),
        ("too_many_rounds", collective.task(attack.header(round=11), now)),
        (
            "unknown_job",
            collective.task(
                documents.header(
                    "00000000-0000-4000-8000-000000000001",
                    log_root=header.log_root,
                    log_size=header.log_size,
                    distributor_key=header.distributor_key,
                ),
                now,
            ),
        ),
        ("malformed", (b"\xa1", b"")),
    ]
    for _, task in cases:
        assert await attack.invite(task) == "no"
    assert await scene.codes(Kind.REFUSED) == [name for name, _ in cases]
    assert await attack.invite() == "accept"
    assert await attack.invite() == "no"
    assert (await scene.codes(Kind.REFUSED))[-1] == "replayed_round"
    assert await scene.codes(Kind.VISIT) == []


async def test_an_unannounced_algorithm_and_stale_terms_get_no_enrolment(scene: Scene) -> None:
    world, now = scene.world, documents.now()
    unannounced = {"manifest": OTHER, "manifest_hash": documents.manifest_hash(OTHER)}
    for changes in (
        unannounced,
        {"rate": str(10**15)},
        {"bucket_min": 3, "release_min": 3},
        {"expires": now - 1},
    ):
        await world.enrol_all(world.collective.job(now, **changes))
        assert world.frames[-1] == {"t": "decline", "id": world.frames[-1]["id"], "code": "no"}
    assert await scene.codes(Kind.REFUSED) == [
        "unannounced_algorithm",
        "rate_too_low",
        "minima_too_low",
        "job_expired",
    ]
    old = {**world.collective.terms_envelope, "document": {**world.collective.terms, "rate": str(10**15)}}
    offer = {"collective_id": world.collective.id, "terms": old, "offer_ref": "r"}
    assert await scene.mail(scene.mailbox, "offer", offer) == "refused"


async def test_a_flood_of_tasks_costs_little_and_leaves_a_line_not_a_book(scene: Scene) -> None:
    world, key = scene.world, scene.pseudonym
    flood = RATES["invite"].burst + 40
    for _ in range(flood):
        await world.invite(key, b"\xa0", b"", 100)
    await world.until(lambda: answered(world)["no"] + answered(world)["later"] >= flood, seconds=30)
    assert answered(world)["later"] >= 30
    entries = await scene.agent.journal.entries(kinds=[Kind.REFUSED])
    codes = Counter(entry.code for entry in entries)
    assert codes["malformed"] == codes["too_many"] == RATES["journal"].burst
    assert scene.agent.session.connected.is_set()
    assert await scene.agent.permit(world.collective.id) is not None


def answered(world: World) -> Counter[str]:
    return Counter(frame["code"] for frame in world.frames if frame["t"] == "decline")


async def test_malformed_and_huge_frames_are_named_and_the_wallet_comes_back(scene: Scene) -> None:
    world = scene.world
    for frame in GARBAGE:
        await world._to(scene.pseudonym, frame)
    await world._to(scene.pseudonym, {"t": "ping", "n": 1})
    await world.until(lambda: {"t": "pong", "n": 1} in world.frames)
    assert "malformed_frame" in await scene.codes(Kind.REFUSED)
    hellos = len([f for f in world.frames if f["t"] == "hello"])
    await world._to(scene.pseudonym, {"t": "mail", "body": bytes(FRAME_BYTES + 1)})
    await world.until(lambda: len([f for f in world.frames if f["t"] == "hello"]) > hellos)
    assert "huge_frame" in await scene.codes(Kind.REFUSED)


async def test_a_mail_that_is_delivered_again_while_it_is_thought_about_is_not_asked_twice(
    scene: Scene,
) -> None:
    asked, decided = 0, asyncio.Event()

    async def ask(question: Any) -> str:
        nonlocal asked
        asked += 1
        await decided.wait()
        return "decide later"

    scene.agent.consent = Consent(Rule.ASK, ask)
    world, ident = scene.world, secrets.token_bytes(16)
    body = json.dumps(world.collective.notice(OTHER, documents.now())).encode()
    mail = {"t": "mail", "id": ident, "to": scene.pseudonym, "kind": "notice", "body": body, "expires": 2**40}
    for number in range(3):
        await world._to(scene.pseudonym, mail)
        await world._to(scene.pseudonym, {"t": "ping", "n": number})
        await world.until(lambda number=number: {"t": "pong", "n": number} in world.frames)  # type: ignore[misc]
    decided.set()
    assert (await world.answer_to(ident))["outcome"] == "done"
    assert asked == 1


@pytest.mark.parametrize("path", ["@127.0.0.1:1/x", ".evil.example/x", "http://evil.example/x", ""])
async def test_a_model_is_fetched_from_the_pinned_origin_alone(scene: Scene, path: str) -> None:
    """Joined behind an origin, such a path would name another host; nothing is asked of it."""
    fetched: list[str] = []
    request = scene.agent.transport.request

    async def watched(method: str, url: str, **more: Any) -> Any:
        fetched.append(url)
        return await request(method, url, **more)

    scene.agent.transport.request = watched  # type: ignore[method-assign]
    attack = await Attack.prepare(scene)
    body, signature = scene.world.collective.task(attack.header(), documents.now())
    ident = await scene.world.invite(scene.pseudonym, body, signature, 100)
    assert (await scene.world.answer_to(ident))["t"] == "accept"
    deliver = {"t": "deliver", "id": ident, "payload_url": path, "payload_token": "t", "ticket": bytes(16)}
    await scene.world._to(scene.pseudonym, deliver)
    async with asyncio.timeout(10):
        while not (codes := await scene.codes(Kind.OUTCOME)):
            await asyncio.sleep(0.05)
    assert codes == ["bad_frame"]
    own = f"http://127.0.0.1:{scene.world.port}/"
    assert [url for url in fetched if not url.startswith(own)] == []
    assert not any("token=" in url for url in fetched)
    assert await scene.codes(Kind.VISIT) == []


@pytest.mark.parametrize("offset", [-400, 400])
async def test_a_skewed_clock_is_named_and_nothing_is_said(
    scene: Scene, offset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_now = documents.now()
    monkeypatch.setattr(
        documents, "now", lambda: true_now + offset
    )  # the server's clock, which the challenge carries
    scene.world.frames.clear()
    scene.agent.session.abort()
    await asyncio.sleep(1.5)
    assert scene.world.frames == []
    assert "clock_skew" in await scene.codes(Kind.REFUSED)


async def test_another_key_behind_the_same_address_is_named(scene: Scene) -> None:
    scene.world.distributor_key = scene.world.aggregator_key
    scene.world.frames.clear()
    scene.agent.session.abort()
    await asyncio.sleep(1.5)
    assert scene.world.frames == []
    assert "wrong_server" in await scene.codes(Kind.REFUSED)


@pytest.mark.parametrize("heartbeat", ["soon", None, [], {}, b"\x01"])
async def test_a_welcome_that_is_none_does_not_end_the_agent(scene: Scene, heartbeat: Any) -> None:
    """What the server says right after the hello is as little trusted as everything else."""
    world = scene.world
    honest = world._wallet_frame

    async def lying(line: Any, proof: Any, frame: bytes) -> None:
        if cbor.decode(frame)["t"] == "hello":
            await line.send({"t": "welcome", "heartbeat": heartbeat})
        else:
            await honest(line, proof, frame)

    world._wallet_frame = lying  # type: ignore[method-assign]
    scene.agent.session.abort()
    await asyncio.sleep(1.2)
    world._wallet_frame = honest  # type: ignore[method-assign]
    world.frames.clear()
    await world.until(lambda: any(frame["t"] == "hello" for frame in world.frames), seconds=15)
    assert "malformed_frame" in await scene.codes(Kind.REFUSED)


WORDS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.binary(max_size=40)
    | st.text(max_size=12)
)
VALUES = st.recursive(
    WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = (
    "id",
    "to",
    "kind",
    "body",
    "job",
    "index",
    "size",
    "root",
    "proof",
    "sig",
    "task",
    "payload_url",
    "ticket",
    "n",
)
FRAMES = st.fixed_dictionaries(
    {"t": st.sampled_from(["mail", "job", "enrolled", "invite", "deliver", "cancelled", "error", "ping"])},
    optional=dict.fromkeys(FIELDS, VALUES),
)


@pytest.fixture(scope="module")
def fuzzing(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One loop and one scene for all examples."""
    loop = asyncio.new_event_loop()
    world = World()
    loop.run_until_complete(world.__aenter__())
    made = loop.run_until_complete(scene_with(tmp_path_factory.mktemp("fuzz"), world, Rule.WEB))
    made.agent.gate = OpenGate()  # every frame is to be looked at here
    yield loop, made
    loop.run_until_complete(made.host.stop())
    loop.run_until_complete(world.stop())
    loop.close()


class OpenGate(Gate):
    """Admits every frame, and still keeps the journal short."""

    def admits(self, kind: str, who: str, now: int) -> bool:
        """All but the journal's lines."""
        return super().admits(kind, who, now) if kind == "journal" else True


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frame=FRAMES, genuine=st.booleans())
def test_fuzzed_frames_never_stop_the_agent(fuzzing: Any, frame: dict[str, Any], genuine: bool) -> None:
    loop, scene = fuzzing
    if genuine:
        frame["to"] = scene.pseudonym

    async def one() -> None:
        number = secrets.randbelow(2**40)
        await scene.world._to(scene.pseudonym, frame)
        await scene.world._to(scene.pseudonym, {"t": "ping", "n": number})
        await scene.world.until(lambda: {"t": "pong", "n": number} in scene.world.frames)

    loop.run_until_complete(one())
    scene.world.frames[:] = [f for f in scene.world.frames if f["t"] == "hello"]
    assert loop.run_until_complete(scene.agent.permit(scene.world.collective.id)) is not None
    assert not scene.host._running[scene.name].done()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=200))
def test_fuzzed_bytes_only_cut_the_line(fuzzing: Any, raw: bytes) -> None:
    """Bytes that are no frame at all: the wallet hangs up and comes back; nothing else changes."""
    loop, scene = fuzzing
    session = scene.agent.session

    async def one() -> None:
        await asyncio.wait_for(session.connected.wait(), 40)
        session._pause = lambda failures: 0.01
        await raw_to(scene, raw)
        await asyncio.sleep(0.02)

    loop.run_until_complete(one())
    assert not scene.host._running[scene.name].done()


async def raw_to(scene: Scene, raw: bytes) -> None:
    async with asyncio.timeout(10):
        while not any(scene.pseudonym in line.keys for line in scene.world.lines):
            await asyncio.sleep(0.01)
    original = cbor.encode
    try:
        marker: dict[str, Any] = {}  # everybody else's messages, the wallet's too, are encoded as always
        cbor.encode = lambda message: raw if message is marker else original(message)  # type: ignore[assignment]
        with suppress(Exception):  # the wallet hung up a moment ago: the scripted server cannot send then
            await scene.world._to(scene.pseudonym, marker)
    finally:
        cbor.encode = original


def test_the_gate_refills_with_time_and_forgets_old_names() -> None:
    gate, rate = Gate(), RATES["invite"]
    assert [gate.admits("invite", "a", 100) for _ in range(rate.burst + 2)] == [True] * rate.burst + [
        False
    ] * 2
    assert gate.suppressed("invite", "a") == 2
    assert gate.suppressed("invite", "a") == 0
    assert gate.admits("invite", "b", 100)
    assert not gate.admits("invite", "a", 90)  # a clock that was set back gives nothing
    assert gate.admits("invite", "a", 92)
    for _ in range(MOST_KEYS + 10):
        gate.admits("mail", os.urandom(8).hex(), 100)
    assert len(gate._buckets) <= MOST_KEYS
