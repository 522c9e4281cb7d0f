"""Pairing, subscribing and leaving against a scripted server over real sockets, with every server up or down."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from aggregation.wire import signing
from aggregation.wire.secret import Secret
from collectives.terms import agreement
from collectives.terms.envelope import SignedDocument
from collectives.terms.permit import Revocation, Subscription
from tests.unit.agent import documents
from tests.unit.agent.world import World
from wallets.agent import credentials, leaving, membership, server, vault
from wallets.agent.agent import WalletAgent
from wallets.agent.consent import Consent, Question, Rule
from wallets.agent.errors import (
    BadData,
    Declined,
    NotFound,
    PeerNotTrusted,
    ProtocolFault,
    ServerRefused,
    Unreachable,
)
from wallets.agent.identity import address_of
from wallets.agent.journal import Kind
from wallets.agent.messages import HolderPolicy
from wallets.agent.sandbox.launcher import Launcher
from wallets.agent.transport import Transport

Make = Callable[..., Any]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World() as made:
        yield made


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    made: list[WalletAgent] = []

    async def build(
        world: World | None = None, *, rule: Rule = Rule.HOST, record: Any = documents.RECORD, **more: Any
    ) -> WalletAgent:
        name = f"w{len(made)}"
        store, _ = await vault.create(tmp_path / name, rng=secrets.token_bytes, host_key=Secret(b"k" * 32))
        agent = WalletAgent(
            name=name,
            store=store,
            transport=Transport(timeout=2),
            launcher=Launcher(),
            consent=Consent(rule, more.pop("ask", None)),
            now=documents.now,
            rng=secrets.token_bytes,
            policy=HolderPolicy(allow_development=True),
        )
        made.append(agent)
        await credentials.save(store, record)
        if world is not None:
            await agent.pin_server(world.description())
        return agent

    yield build
    for agent in made:
        await agent.stop()
        await agent.transport.close()
        await agent.store.close()


def offer(world: World, ref: str = "") -> dict[str, Any]:
    return {"collective_id": world.collective.id, "terms": world.collective.terms_envelope, "offer_ref": ref}


async def subscribed(make: Make, world: World) -> WalletAgent:
    agent = await make(world)
    await membership.subscribe(agent, offer(world), through_pairing=False)
    await agent.flush_outgoing()
    return agent


def link_to(world: World, code: str = "123456") -> server.PairingLink:
    return server.parse_link(
        f"cssi://pair?url={world.url}&code={code}&pin={server.pin_of(world.description())}"
    )


async def test_pairing_proves_the_mailbox_key_and_pins_the_server(make: Make, world: World) -> None:
    agent = await make()
    assert await membership.pair(agent, link_to(world)) == "Ivo"
    (sent,) = world.posted["wallets/pair"]
    mailbox = bytes.fromhex(sent["mailbox_key"])
    body = {"code": "123456", "mailbox": mailbox, "created": sent["created"]}
    signing.verify(mailbox, b"cssi/v1/pair", body, bytes.fromhex(sent["signature"]))
    assert agent.server.pin == server.pin_of(world.description())
    assert [kind for kind, _ in await agent.wire_keys()] == ["mailbox"]


async def test_a_lost_pairing_answer_is_repeated_with_the_same_key(make: Make, world: World) -> None:
    agent = await make()
    link = link_to(world)
    honest = world._api
    world._api = lambda parts, sent: honest(parts, sent) if parts == ["server"] else 1 / 0  # type: ignore[method-assign]
    with pytest.raises(Unreachable):
        await membership.pair(agent, link)
    assert await agent.wire_keys() == []
    world._api = honest  # type: ignore[method-assign]
    await membership.pair(agent, link)
    keys = {sent["mailbox_key"] for sent in world.posted["wallets/pair"]}
    assert len(world.posted["wallets/pair"]) == 2
    assert len(keys) == 1


async def test_another_server_than_the_link_names_is_refused(make: Make, world: World) -> None:
    agent = await make()
    link = server.PairingLink(url=world.url, code="1", pin="00" * 32)
    with pytest.raises(PeerNotTrusted):
        await membership.pair(agent, link)
    assert world.posted["wallets/pair"] == []
    with pytest.raises(NotFound):
        _ = agent.server


@pytest.mark.parametrize(
    "link",
    [
        "",
        "https://x",
        "cssi://pair",
        "cssi://pair?url=https://a&code=1",
        "cssi://other?url=https://a&code=1&pin=2",
    ],
)
def test_a_broken_link_is_named(link: str) -> None:
    with pytest.raises(BadData):
        server.parse_link(link)


async def test_subscribing_signs_what_the_terms_say(make: Make, world: World) -> None:
    agent = await subscribed(make, world)
    (sent,) = world.posted[f"collectives/{world.collective.id}/subscriptions"]
    document = Subscription.parse(SignedDocument.from_json(sent).open("subscription", sent["key"]))
    assert document.terms_hash == agent_terms_hash(world)
    signer = recovered(
        document.agreement_signature,
        agreement.signing_digest(
            document.agreement, chain_id=world.collective.chain_id, registry=world.collective.registry
        ),
    )
    assert signer == document.agreement_signer
    permit = await agent.permit(world.collective.id)
    assert permit is not None
    assert permit.subscription_key == document.subscription_key == sent["key"]
    assert permit.agreement_hash == agreement.agreement_hash(document.agreement)
    (opening,) = world.openings
    assert agreement.payout_hash(opening.address, opening.salt).hex() == document.agreement["payoutHash"]
    (record,) = (await agent.store.list("payout")).values()
    assert (
        bytes.fromhex(record["address"][2:])
        == opening.address
        == address_of(Secret(bytes.fromhex(record["private"])))
    )
    assert [e.kind for e in await agent.journal.entries()] == [Kind.SUBSCRIBED]


async def test_two_subscriptions_share_nothing(make: Make, world: World) -> None:
    """The same record and the same person, two collectives: no byte string of 16 or more is in both messages."""
    async with World() as second:
        agent = await make(world)
        await membership.subscribe(agent, offer(world), through_pairing=False)
        second_document = second.description()
        agent._server = server.ServerDescription.parse(second_document)
        await membership.subscribe(agent, offer(second), through_pairing=False)
        one = world.posted[f"collectives/{world.collective.id}/subscriptions"][0]["document"]
        two = second.posted[f"collectives/{second.collective.id}/subscriptions"][0]["document"]
    same = {
        name
        for name in one
        if one[name] == two[name] and name not in {"version", "created", "requirement_hash"}
    }
    assert same == set()
    assert one["presence"]["commitment"] != two["presence"]["commitment"]
    assert one["agreement"]["payoutHash"] != two["agreement"]["payoutHash"]


async def test_nothing_plain_of_the_record_leaves(make: Make, world: World) -> None:
    agent = await make(world, record={**documents.RECORD, "height": 4.123456})
    await membership.subscribe(agent, offer(world), through_pairing=False)
    await agent.flush_outgoing()
    sent = b"".join(world.raw)
    assert sent
    assert b"4.123456" not in sent
    assert world.openings[0].address not in sent
    assert world.openings[0].address.hex().encode() not in sent


async def test_the_holder_is_asked_with_the_words_of_the_signed_terms(make: Make, world: World) -> None:
    asked: list[Question] = []

    async def no(question: Question) -> str:
        asked.append(question)
        return "not now"

    agent = await make(world, rule=Rule.ASK, ask=no)
    with pytest.raises(Declined):
        await membership.subscribe(agent, offer(world), through_pairing=False)
    assert any("at least 20 wallets" in sentence for sentence in asked[0].sentences)
    assert await agent.permit(world.collective.id) is None
    assert world.posted[f"collectives/{world.collective.id}/subscriptions"] == []


@pytest.mark.parametrize("through_pairing", [True, False])
async def test_the_web_rule_covers_only_offers_of_the_own_pairing(
    make: Make, world: World, through_pairing: bool
) -> None:
    agent = await make(world, rule=Rule.WEB)
    if through_pairing:
        await membership.subscribe(agent, offer(world), through_pairing=True)
        assert await agent.permit(world.collective.id) is not None
    else:
        with pytest.raises(Declined):
            await membership.subscribe(agent, offer(world), through_pairing=False)


async def test_missing_data_is_said_before_anything_is_signed(make: Make, world: World) -> None:
    agent = await make(world, record={"height": 4.5})
    with pytest.raises(BadData, match="weight is missing"):
        await membership.subscribe(agent, offer(world), through_pairing=False)
    assert world.posted[f"collectives/{world.collective.id}/subscriptions"] == []


async def test_a_permit_that_does_not_say_what_was_agreed_is_not_kept(make: Make, world: World) -> None:
    agent = await make(world)
    honest = world.collective.permit_document
    world.collective.permit_document = lambda **changes: honest(**{**changes, "rate": "1"})  # type: ignore[method-assign]
    with pytest.raises(ProtocolFault):
        await membership.subscribe(agent, offer(world), through_pairing=False)
    assert await agent.permit(world.collective.id) is None


async def test_a_lost_answer_is_repeated_with_the_same_bytes(make: Make, world: World) -> None:
    agent = await make(world)
    world.refuse_with = 503
    with pytest.raises(Unreachable):
        await membership.subscribe(agent, offer(world), through_pairing=False)
    draft = await agent.store.get("draft", world.collective.id)
    world.refuse_with = None
    await membership.subscribe(agent, offer(world), through_pairing=False)
    assert draft is not None
    assert world.posted[f"collectives/{world.collective.id}/subscriptions"] == [draft["subscription"]]
    assert await agent.store.get("draft", world.collective.id) is None


async def test_a_wallet_that_stays_open_tries_again_without_asking_again(make: Make, world: World) -> None:
    asked: list[Question] = []

    async def yes(question: Question) -> str:
        asked.append(question)
        world.refuse_with = 503
        asyncio.get_running_loop().call_later(0.3, setattr, world, "refuse_with", None)
        return "subscribe"

    agent = await make(world, rule=Rule.ASK, ask=yes)
    permit = await membership.subscribe(agent, offer(world), through_pairing=False, attempts=20)
    assert permit.name == "Heights"
    assert len(asked) == 1


async def test_a_statement_that_grew_stale_offline_is_made_anew(make: Make, world: World) -> None:
    agent = await make(world)
    agent.now = lambda: documents.now() - 3600
    world.refuse_with = 503
    with pytest.raises(Unreachable):
        await membership.subscribe(agent, offer(world), through_pairing=False)
    agent.now, world.refuse_with = documents.now, None
    honest = world._route

    def route(method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if (
            path.endswith("/subscriptions")
            and json.loads(body)["document"]["created"] < documents.now() - 600
        ):
            return 400, b'{"code":"stale_proof","detail":"The proof is too old."}'
        return honest(method, path, body)

    world._route = route  # type: ignore[method-assign]
    await membership.subscribe(agent, offer(world), through_pairing=False)
    assert await agent.permit(world.collective.id) is not None


async def test_subscribing_twice_is_refused_by_name(make: Make, world: World) -> None:
    agent = await subscribed(make, world)
    with pytest.raises(ServerRefused) as refused:
        await membership.subscribe(agent, offer(world), through_pairing=False)
    assert refused.value.code == "already_subscribed"


async def test_a_servers_refusal_is_passed_on(make: Make, world: World) -> None:
    agent = await make(world)
    world.refuse_with = 409
    with pytest.raises(ServerRefused) as refused:
        await membership.subscribe(agent, offer(world), through_pairing=False)
    assert refused.value.code == "refused_by_test"
    assert await agent.store.get("draft", world.collective.id) is None
    (entry,) = await agent.journal.entries()
    assert (entry.kind, entry.code) == (Kind.OFFER, "refused_by_test")
    assert entry.sentence == "Not subscribed to Heights: The test refuses this."


async def test_revoking_tells_the_servers_when_they_are_up(make: Make, world: World) -> None:
    agent = await subscribed(make, world)
    permit = await agent.permit(world.collective.id)
    assert permit is not None
    result = await leaving.revoke(agent, world.collective.id)
    assert (result.name, result.erased, result.servers_told) == ("Heights", True, True)
    (sent,) = world.posted[f"collectives/{world.collective.id}/revocations"]
    said = Revocation.parse(SignedDocument.from_json(sent).open("revocation", permit.subscription_key))
    assert said.agreement_hash == permit.agreement_hash
    assert await agent.permit(world.collective.id) is None
    with pytest.raises(NotFound):
        await leaving.revoke(agent, world.collective.id)


async def test_revoking_works_at_once_with_every_server_down(make: Make) -> None:
    async with World() as world:
        agent = await subscribed(make, world)
        description = world.description()
    keys = await agent.store.get("keys", world.collective.id)
    assert keys is not None
    started = time.perf_counter()
    result = await leaving.revoke(agent, world.collective.id)
    assert time.perf_counter() - started < 5
    assert result.milliseconds < 1000
    assert result.erased
    assert not result.servers_told
    assert await agent.permit(world.collective.id) is None
    assert await agent.store.list("keys") == {}
    assert len(await agent.store.list("payout")) == 1  # what was earned is still paid
    assert await agent.outbox.waiting() == 1
    async with World() as back:
        back.collective = world.collective
        agent._server = server.ServerDescription.parse({**description, **back.description()})
        await agent.flush_outgoing()
        assert await agent.outbox.waiting() == 0
        assert len(back.posted[f"collectives/{world.collective.id}/revocations"]) == 1


async def test_a_revoked_key_is_gone_from_the_files(make: Make, world: World, tmp_path: Path) -> None:
    agent = await subscribed(make, world)
    kept = await agent.store.get("keys", world.collective.id)
    assert kept is not None
    await leaving.revoke(agent, world.collective.id)
    raw = b"".join(path.read_bytes() for path in (tmp_path / "w0").rglob("*") if path.is_file())
    for value in kept.values():
        assert value.encode() not in raw
        assert bytes.fromhex(value) not in raw


async def test_the_persons_own_link_is_signed_by_the_mailbox(make: Make, world: World) -> None:
    agent = await make()
    await membership.pair(agent, link_to(world))
    await membership.subscribe(agent, offer(world, "ref-1"), through_pairing=True)
    await leaving.revoke(agent, world.collective.id)
    states = []
    for sent in world.posted["wallets/links"]:
        body = {name: value for name, value in sent.items() if name != "signature"}
        signing.verify(
            bytes.fromhex(sent["mailbox_key"]), b"cssi/v1/link", body, bytes.fromhex(sent["signature"])
        )
        assert sent["offer_ref"] == "ref-1"
        states.append(sent["state"])
    assert states == ["subscribed", "revoked"]


def agent_terms_hash(world: World) -> str:
    from collectives.terms.description import terms_hash

    return terms_hash(world.collective.terms)


def recovered(signature: str, digest: bytes) -> str:
    """The address that signed, by an implementation of its own."""
    from eth_keys.datatypes import Signature

    raw = bytes.fromhex(signature)
    public = Signature(raw[:64] + bytes([raw[64] - 27])).recover_public_key_from_msg_hash(digest)
    return "0x" + public.to_canonical_address().hex()


@pytest.mark.parametrize(
    ("wish", "hours"), [(5 * 3600, 5), (10**9, 24), (60, 24), (True, 24), ("90", 24), (None, 24)]
)
async def test_what_is_signed_lasts_as_the_holder_wants_and_never_longer_than_the_terms(
    make: Make, world: World, wish: Any, hours: int
) -> None:
    agent = await make(world)
    assert world.collective.terms["valid_seconds"] == 24 * 3600
    permit = await membership.subscribe(agent, offer(world) | {"valid_seconds": wish}, through_pairing=False)
    (sent,) = world.posted[f"collectives/{world.collective.id}/subscriptions"]
    agreed = sent["document"]["agreement"]
    assert int(agreed["validUntil"]) - int(agreed["validFrom"]) == hours * 3600
    assert permit.expires <= int(agreed["validUntil"])


async def test_a_permit_that_outlives_what_was_signed_is_not_kept(make: Make, world: World) -> None:
    agent = await make(world)
    world.collective.outlives = 1
    with pytest.raises(ProtocolFault, match="does not say what the terms say"):
        await membership.subscribe(agent, offer(world), through_pairing=False)
    assert await agent.store.get("permit", world.collective.id) is None
