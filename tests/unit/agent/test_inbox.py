"""What the distributor may send and what becomes of it: offers, notices, choices, web revocations, and garbage."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collectives.terms.envelope import SignedDocument
from tests.unit.agent import documents
from tests.unit.agent.world import World
from wallets.agent import server
from wallets.agent.consent import Rule
from wallets.agent.journal import Kind
from wallets.agent.messages import Memory
from wallets.agent.sandbox.launcher import Launcher
from wallets.agent.sandbox.policy import REQUIRED
from wallets.host.host import Host

OTHER = documents.manifest(name="another")


class NoSandbox(Launcher):
    """These tests run no task."""

    async def start(self) -> None:
        """Nothing to start; what a full sandbox would report."""
        self.layers = REQUIRED

    async def got_out(self) -> tuple[str, ...]:
        """There is nothing to get out of."""
        await self.start()
        return ()


class Scene:
    """One hosted wallet, paired and subscribed."""

    def __init__(self, world: World, host: Host, name: str) -> None:
        self.world, self.host, self.name = world, host, name
        self.agent = host.wallet(name)

    @property
    def mailbox(self) -> bytes:
        """The key the market reaches this wallet by."""
        return bytes.fromhex(self.world.posted["wallets/pair"][0]["mailbox_key"])

    @property
    def pseudonym(self) -> bytes:
        """The key the collective knows."""
        return next(iter(self.world.subscribers))

    async def codes(self, *kinds: Kind) -> list[str]:
        """Journal codes."""
        return [entry.code for entry in await self.agent.journal.entries(kinds=kinds)]

    async def memory(self) -> Memory:
        """What the wallet remembers about the collective."""
        return Memory.from_record(await self.agent.store.get("memory", self.world.collective.id))

    async def mail(self, to: bytes, kind: str, document: object) -> str:
        """Send a mail and return the outcome it was acknowledged with."""
        ident = await self.world.mail(to, kind, document)
        return str((await self.world.answer_to(ident))["outcome"])


async def scene_with(tmp_path: Path, world: World, rule: Rule) -> Scene:
    host = Host(
        tmp_path / "host",
        now=documents.now,
        rng=secrets.token_bytes,
        server_document=world.description(),
        rule=rule,
        launcher=NoSandbox(),
    )
    await host.start()
    (name,) = await host.create_wallets([documents.RECORD])
    await host.pair(name, f"cssi://pair?url={world.url}&code=1&pin={server.pin_of(world.description())}")
    made = Scene(world, host, name)
    await world.until(lambda: any(made.mailbox in line.keys for line in world.lines))
    offer = {
        "collective_id": world.collective.id,
        "terms": world.collective.terms_envelope,
        "offer_ref": "r",
    }
    assert await made.mail(made.mailbox, "offer", offer) == "done"
    await world.until(lambda: any(made.pseudonym in line.keys for line in world.lines))
    return made


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with World() as world:
        made = await scene_with(tmp_path, world, Rule.WEB)
        yield made
        await made.host.stop()


async def test_a_notice_is_kept_and_left_open_without_a_rule_for_it(scene: Scene) -> None:
    notice = scene.world.collective.notice(OTHER, documents.now())
    assert await scene.mail(scene.pseudonym, "notice", notice) == "done"
    (seen,) = (await scene.memory()).notices
    assert (seen.choice, seen.silence) == ("", "without")
    assert await scene.mail(scene.pseudonym, "notice", notice) == "done"
    assert len((await scene.memory()).notices) == 1
    forged = {**notice, "document": {**notice["document"], "reason": "changed"}}
    assert await scene.mail(scene.pseudonym, "notice", forged) == "refused"
    assert await scene.codes(Kind.REFUSED) == ["bad_signature"]


async def test_a_choice_made_on_the_web_counts_when_the_holders_rule_covers_it(scene: Scene) -> None:
    await scene.mail(scene.pseudonym, "notice", scene.world.collective.notice(OTHER, documents.now()))
    choice = {"collective_id": scene.world.collective.id, "notice_ref": "n1", "choice": "with"}
    assert await scene.mail(scene.mailbox, "notice", choice) == "done"
    assert (await scene.memory()).notices[0].choice == "with"
    path = f"collectives/{scene.world.collective.id}/notice-answers"
    await scene.world.until(lambda: bool(scene.world.posted[path]))
    signed = SignedDocument.from_json(scene.world.posted[path][0])
    assert signed.open("notice-answer", scene.pseudonym.hex())["choice"] == "with"
    # By the collective's own way in, a choice is just a malformed notice.
    assert await scene.mail(scene.pseudonym, "notice", choice) == "refused"


async def test_a_host_rule_answers_a_notice_with_yes(tmp_path: Path) -> None:
    async with World() as world:
        made = await scene_with(tmp_path, world, Rule.HOST)
        await made.mail(made.pseudonym, "notice", world.collective.notice(OTHER, documents.now()))
        assert (await made.memory()).notices[0].choice == "with"
        await made.host.stop()


async def test_leaving_on_a_notice_deletes_the_permit(scene: Scene) -> None:
    await scene.mail(scene.pseudonym, "notice", scene.world.collective.notice(OTHER, documents.now()))
    choice = {"collective_id": scene.world.collective.id, "notice_ref": "n1", "choice": "leave"}
    assert await scene.mail(scene.mailbox, "notice", choice) == "done"
    assert await scene.agent.permit(scene.world.collective.id) is None
    await scene.world.until(
        lambda: bool(scene.world.posted[f"collectives/{scene.world.collective.id}/revocations"])
    )


async def test_a_web_revocation_deletes_the_permit_at_the_next_contact_and_again_changes_nothing(
    scene: Scene,
) -> None:
    key = scene.pseudonym
    for _ in range(2):
        assert await scene.mail(key, "revoked", {}) == "done"
    assert await scene.agent.permit(scene.world.collective.id) is None
    assert scene.world.posted[f"collectives/{scene.world.collective.id}/revocations"] == []
    assert await scene.codes(Kind.REVOKED) == [""]
    await scene.world.enrol_all(scene.world.collective.job(documents.now()))
    assert scene.world.frames[-1]["t"] == "decline"


async def test_a_mail_to_the_wrong_key_or_of_an_unknown_kind_is_refused(scene: Scene) -> None:
    offer = {"collective_id": scene.world.collective.id, "terms": scene.world.collective.terms_envelope}
    assert await scene.mail(scene.pseudonym, "offer", offer) == "refused"
    assert await scene.mail(scene.mailbox, "revoked", {}) == "refused"
    assert await scene.mail(scene.mailbox, "surprise", {}) == "refused"
    assert await scene.agent.permit(scene.world.collective.id) is not None


GARBAGE = [
    {"t": "mail"},
    {"t": "mail", "id": 1, "to": 7, "kind": "offer", "body": b"\xff", "expires": 1},
    {"t": "mail", "id": 1, "to": b"", "kind": "notice", "body": b"[1]", "expires": 1},
    {"t": "job", "id": b"", "to": b"", "body": b"{"},
    {"t": "job", "id": b"", "to": b"", "body": b"[" * 60_000},
    {"t": "job", "id": b"", "to": [], "body": "text"},
    {"t": "enrolled", "to": b"", "job": b"", "index": -1, "size": 0, "root": 1, "proof": 3, "sig": b""},
    {
        "t": "enrolled",
        "to": b"",
        "job": bytes(16),
        "index": 0,
        "size": 1,
        "root": b"",
        "proof": [],
        "sig": b"",
    },
    {"t": "invite", "id": b"x", "to": b"", "task": b"", "sig": b"", "cohort_size": 1},
    {"t": "invite", "id": [], "to": {}, "task": None, "sig": 1, "cohort_size": 1},
    {"t": "deliver", "id": b"?", "payload_url": 1, "payload_token": 2, "ticket": 3},
    {"t": "cancelled", "id": b"?", "reason": 1},
    {"t": "cancelled"},
    {"t": "error"},
    {"t": "ping"},
    {"t": "something new"},
]


async def test_no_frame_of_a_server_stops_the_agent(scene: Scene) -> None:
    for number, frame in enumerate(GARBAGE):
        await scene.world._to(scene.pseudonym, frame)
        await scene.world._to(scene.pseudonym, {"t": "ping", "n": number})
        answered = {"t": "pong", "n": number}
        await scene.world.until(lambda answered=answered: answered in scene.world.frames)  # type: ignore[misc]
        assert scene.agent.session.connected.is_set(), frame
    assert await scene.agent.permit(scene.world.collective.id) is not None


async def test_a_server_that_shows_another_key_hears_nothing(scene: Scene) -> None:
    """The server's key changes behind the same address: the wallet reconnects, sees it, and says no word."""
    scene.world.distributor_key = scene.world.aggregator_key
    scene.world.frames.clear()
    scene.agent.session.abort()
    await asyncio.sleep(1.5)
    assert scene.world.frames == []
    assert not scene.agent.session.connected.is_set()
