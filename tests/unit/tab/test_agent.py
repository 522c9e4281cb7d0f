"""Agents of the tab, in Node, over real sockets: pairing, subscribing, jobs, whole rounds, cuts, revoking; what the servers see is checked."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aggregation.secagg.messages import PresenceReceipt
from aggregation.wire import signing
from collectives.terms.agreement import agreement_hash, signing_digest
from collectives.terms.permit import Subscription
from tests.unit.agent import documents
from tests.unit.agent.rounds import Round
from tests.unit.agent.world import World
from tests.unit.tab.node import Script
from wallets.agent import server
from wallets.agent.receipts import genuine

WALLETS = 4
RECORDS = [{"height": i + 0.5, "weight": 9.5 - i, "ill": i % 2 == 0} for i in range(WALLETS)]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with World(development=True, bucket_min=3, release_min=3) as made:
        yield made


@pytest.fixture
async def tab() -> AsyncIterator[Script]:
    async with Script("agent") as script:
        yield script


def link(world: World, code: str = "abcd") -> str:
    return f"cssi://pair?url={world.url}&code={code}&pin={server.pin_of(world.description())}"


class Scene:
    """Subscribed, connected and enrolled agents, and what the aggregator was given."""

    def __init__(self, world: World, tab: Script, names: list[str]) -> None:
        self.world, self.tab, self.names = world, tab, names
        self.keys: dict[str, bytes] = {}

    async def enrol(self) -> None:
        self.job = self.world.collective.job(
            documents.now(),
            distributor_key=signing.public_key(self.world.distributor_key).hex(),
            aggregator_key=signing.public_key(self.world.aggregator_key).hex(),
        )
        self.enrolments = await self.world.enrol_all(self.job)
        self.log = await self.world.freeze(self.job["document"]["job_id"], self.enrolments)

    def round(self, number: int, **changes: Any) -> Round:
        job = self.job["document"]["job_id"]
        return Round(
            self.world, job_id=job, number=number, log=self.log, enrolments=self.enrolments, **changes
        )

    async def total(self, number: int, names: list[str] | None = None) -> np.ndarray[Any, Any]:
        sums = np.zeros(3, np.int64)
        for name in names or self.names:
            for one in await self.tab.ask("updates", name=name):
                sums += np.array(one["update"]) if one["round"] == number else 0
        return sums

    async def journal(self, name: str) -> list[tuple[str, str]]:
        found = await self.tab.ask("journal", name=name)
        assert found["broken"] is None
        return [(entry["kind"], entry["code"]) for entry in found["entries"]]


@pytest.fixture
async def scene(world: World, tab: Script) -> Scene:
    names = [f"w{number}" for number in range(WALLETS)]
    made = Scene(world, tab, names)
    for name, record in zip(names, RECORDS, strict=True):
        await tab.ask("create", name=name, record=record)
        await tab.ask("know", name=name, url=world.url, pin=server.pin_of(world.description()))
        await tab.ask("answer", name=name, answer="subscribe")
        await tab.ask("run", name=name)
        made.keys[name] = bytes.fromhex(await tab.ask("subscribe", name=name, collective=world.collective.id))
    await world.until(lambda: sum(len(line.keys) for line in world.lines) == WALLETS)
    await made.enrol()
    return made


async def test_four_tabs_sum_bit_for_bit(scene: Scene) -> None:
    done = await scene.round(1).run()
    assert done.count == WALLETS
    assert np.array_equal(done.sum, await scene.total(1))
    again = await scene.round(2).run()
    assert np.array_equal(again.sum, await scene.total(2))
    for name in scene.names:
        await scene.tab.ask("until", name=name, event="visit_over", round=2)
        kinds = await scene.journal(name)
        assert kinds[-6:] == [("accepted", ""), ("visit", "receipt"), ("outcome", "released")] * 2
    for member in scene.world.members.values():
        receipt = PresenceReceipt.from_bytes(member.got["receipt"])
        receipt.verify()
        assert receipt.subscription_key in scene.keys.values()
        assert receipt.header_hash == again.header.hash()


async def test_a_message_said_twice_is_answered_the_same(scene: Scene) -> None:
    done = await scene.round(1, repeat_everything=True).run()
    assert np.array_equal(done.sum, await scene.total(1))


async def test_a_round_is_used_up_and_another_model_is_not_trained_on(scene: Scene) -> None:
    await scene.round(1).run()
    answers = await scene.round(1).invite_only()
    assert {answer["t"] for answer in answers} == {"decline"}
    assert await scene.journal(scene.names[0])
    other = scene.round(2)
    with pytest.raises(TimeoutError):
        await other.run(payload=other.payload(np.ones(3, "<f4")), seconds=2)
    for name in scene.names:
        assert ("refused", "wrong_payload") in await scene.journal(name)
        assert await scene.tab.ask("updates", name=name) == (await scene.tab.ask("updates", name=name))[:1]
    assert {member.cannot for member in scene.world.members.values()} == {"declined"}


async def test_revoked_in_the_middle_nothing_more_leaves(scene: Scene) -> None:
    gone, others = scene.names[0], scene.names[1:]
    round_ = scene.round(1)
    round_.world.payload = round_.payload(round_.weights)
    answers = await round_.invite_only()
    assert [answer["t"] for answer in answers] == ["accept"] * WALLETS
    for enrolment in scene.enrolments:
        key = enrolment.subscription_key
        await scene.world.deliver(key, round_.invitations[key], round_.header.manifest_hash)
    await scene.tab.ask("until", name=gone, event="step", step="receipt")
    done = await scene.tab.ask("revoke", name=gone, collective=scene.world.collective.id)
    assert done["erased"] is True
    assert done["told"] is True
    (revocation,) = scene.world.posted[f"collectives/{scene.world.collective.id}/revocations"]
    assert revocation["document"]["subscription_key"] == scene.keys[gone].hex()
    before = len(scene.world.raw)
    summed = await round_._aggregate(len(others), {e.job_key: b"\x00" * 16 for e in scene.enrolments})
    assert summed.count == len(others)
    assert np.array_equal(summed.sum, await scene.total(1, others))
    assert len(scene.world.raw) > before
    found = await scene.tab.ask("everything", name=gone)
    assert not {"permit", "keys", "memory", "jobkey", "draft"} & set(found)
    (receipt,) = found["consent"].values()
    assert genuine(receipt)
    assert [event["event_state"] for event in receipt["document"]["events"]] == [
        *("consent_given", "consent_withdrawn")
    ]
    assert ("revoked", "") in await scene.journal(gone)
    assert (await scene.tab.ask("revoke", name=gone, collective=scene.world.collective.id))[
        "error"
    ] == "not_found"


async def test_a_cut_line_is_taken_up_again(scene: Scene) -> None:
    before = len(scene.world.frames)
    for name in scene.names:
        await scene.tab.ask("cut", name=name)
    await scene.world.until(lambda: [f["t"] for f in scene.world.frames[before:]].count("hello") == WALLETS)
    await scene.world.until(lambda: sum(len(line.keys) for line in scene.world.lines) == WALLETS)
    done = await scene.round(1).run()
    assert np.array_equal(done.sum, await scene.total(1))


async def test_changed_data_is_not_visited_until_it_is_stated_anew(scene: Scene) -> None:
    name, collective = scene.names[0], scene.world.collective.id
    await scene.tab.ask("save", name=name, record={"height": 9.25})
    answers = await scene.round(1).invite_only()
    assert sorted(answer["t"] for answer in answers) == ["accept"] * (WALLETS - 1) + ["decline"]
    assert ("refused", "data_missing") in await scene.journal(name)
    assert await scene.tab.ask("restate", name=name, collective=collective) is None
    (statement,) = scene.world.posted[f"collectives/{collective}/presence"]
    assert statement["key"] == scene.keys[name].hex()
    answers = await scene.round(2).invite_only()
    assert [answer["t"] for answer in answers] == ["accept"] * WALLETS


async def test_the_subscription_is_what_the_agents_would_be(scene: Scene) -> None:
    """The documents parse strictly, the signatures recover the addresses, the receipt is genuine, the payout is opened."""
    for name in scene.names:
        document = scene.world.subscribers[scene.keys[name]]
        subscription = Subscription.parse(document)
        digest = signing_digest(
            subscription.agreement,
            chain_id=scene.world.collective.chain_id,
            registry=scene.world.collective.registry,
        )
        for signature, over in (
            (subscription.agreement_signature, digest),
            (subscription.cross_signature, eip191(scene.keys[name])),
        ):
            assert recovered(bytes.fromhex(signature), over) == subscription.agreement_signer
        found = await scene.tab.ask("everything", name=name)
        assert genuine(found["consent"][scene.keys[name].hex()])
        (question,) = await scene.tab.ask("questions", name=name)
        assert (
            question["sentences"]
            == found["consent"][scene.keys[name].hex()]["document"]["extension"]["sentences_shown"]
        )
    await scene.world.until(lambda: len(scene.world.openings) == WALLETS)
    hashes = {agreement_hash(document["agreement"]) for document in scene.world.subscribers.values()}
    assert {opening.agreement_hash.hex() for opening in scene.world.openings} == hashes


def eip191(key: bytes) -> bytes:
    from wallets.agent.identity import eip191_digest

    return eip191_digest(key)


def recovered(signature: bytes, digest: bytes) -> str:
    import coincurve
    from eth_hash.auto import keccak

    point = coincurve.PublicKey.from_signature_and_message(
        signature[:64] + bytes([signature[64] - 27]), digest, hasher=None
    ).format(compressed=False)
    return "0x" + keccak(point[1:])[-20:].hex()


# --- one wallet ---------------------------------------------------------------------------------------------------


@pytest.fixture
async def wallet(world: World, tab: Script) -> Script:
    await tab.ask("create", name="w", record=RECORDS[0])
    return tab


def offer(world: World, **changes: Any) -> dict[str, Any]:
    values = {"version": 1, "collective_id": world.collective.id, "terms": world.collective.terms_envelope}
    return {**values, "offer_ref": "ref", "reply_url": "", **changes}


async def paired(world: World, wallet: Script, rule: str = "confirmed-on-web") -> bytes:
    assert await wallet.ask("pair", name="w", link=link(world)) == "Ivo"
    await wallet.ask("rule", name="w", rule=rule)
    await wallet.ask("run", name="w")
    await world.until(lambda: any(line.keys for line in world.lines))
    (sent,) = world.posted["wallets/pair"]
    mailbox = bytes.fromhex(sent["mailbox_key"])
    body = {"code": "abcd", "mailbox": mailbox, "created": sent["created"]}
    signing.verify(mailbox, b"cssi/v1/pair", body, bytes.fromhex(sent["signature"]))
    return mailbox


async def acknowledged(world: World, ident: bytes) -> str:
    await world.until(lambda: any(f["t"] == "ack" and f["id"] == ident for f in world.frames))
    return str(next(f["outcome"] for f in world.frames if f["t"] == "ack" and f["id"] == ident))


async def test_an_offer_through_the_own_pairing_subscribes_and_tells_the_person(
    world: World, wallet: Script
) -> None:
    mailbox = await paired(world, wallet)
    assert await acknowledged(world, await world.mail(mailbox, "offer", offer(world))) == "done"
    await world.until(lambda: bool(world.posted["wallets/links"]))
    (sent,) = world.posted["wallets/links"]
    signature = bytes.fromhex(sent.pop("signature"))
    signing.verify(mailbox, b"cssi/v1/link", sent, signature)
    assert (sent["state"], sent["offer_ref"]) == ("subscribed", "ref")
    assert await acknowledged(world, await world.mail(mailbox, "offer", offer(world))) == "refused"
    journal = await wallet.ask("journal", name="w")
    assert journal["entries"][-1]["code"] == "already_subscribed"


async def test_the_holder_is_asked_and_may_say_no(world: World, wallet: Script) -> None:
    mailbox = await paired(world, wallet, "ask")
    assert await acknowledged(world, await world.mail(mailbox, "offer", offer(world))) == "refused"
    (question,) = await wallet.ask("questions", name="w")
    assert question["title"] == "Subscribe to Heights?"
    await world.until(lambda: bool(world.posted["wallets/links"]))
    assert world.posted["wallets/links"][0]["state"] == "declined"
    assert world.subscribers == {}


async def test_a_notice_waits_for_the_holder_and_the_answer_is_signed(world: World, wallet: Script) -> None:
    mailbox = await paired(world, wallet)
    await world.mail(mailbox, "offer", offer(world))
    await world.until(lambda: sum(len(line.keys) for line in world.lines) == 2)
    (key,) = world.subscribers
    notice = world.collective.notice(documents.manifest(name="another"), documents.now())
    assert await acknowledged(world, await world.mail(key, "notice", notice)) == "done"
    assert (
        await acknowledged(world, await world.mail(key, "notice", {**notice, "signature": "00" * 64}))
        == "refused"
    )
    chosen = {"collective_id": world.collective.id, "notice_ref": "n1", "choice": "without"}
    assert await acknowledged(world, await world.mail(mailbox, "notice", chosen)) == "done"
    path = f"collectives/{world.collective.id}/notice-answers"
    await world.until(lambda: bool(world.posted[path]))
    (answer,) = world.posted[path]
    assert (answer["key"], answer["document"]["choice"]) == (key.hex(), "without")
    assert (
        await wallet.ask("notice", name="w", collective=world.collective.id, reference="n1", choice="leave")
        is None
    )
    await world.until(lambda: not world.subscribers)
    assert "permit" not in await wallet.ask("everything", name="w")


async def test_a_revocation_on_the_web_deletes_the_permit(world: World, wallet: Script) -> None:
    mailbox = await paired(world, wallet)
    await world.mail(mailbox, "offer", offer(world))
    await world.until(lambda: sum(len(line.keys) for line in world.lines) == 2)
    (key,) = world.subscribers
    assert await acknowledged(world, await world.mail(key, "revoked", {})) == "done"
    assert "permit" not in await wallet.ask("everything", name="w")
    assert world.posted[f"collectives/{world.collective.id}/revocations"] == []
    assert await acknowledged(world, await world.mail(key, "revoked", {})) == "done"


async def test_a_job_of_a_stranger_is_declined(world: World, wallet: Script) -> None:
    mailbox = await paired(world, wallet)
    await world.mail(mailbox, "offer", offer(world))
    await world.until(lambda: sum(len(line.keys) for line in world.lines) == 2)
    job = world.collective.job(documents.now())
    forged = {**job, "signature": secrets.token_hex(64)}
    assert await world.enrol_all(forged) == []
    await world.enrol_all({"document": 5})
    codes = [entry["code"] for entry in (await wallet.ask("journal", name="w"))["entries"]]
    assert "bad_signature" in codes
    assert "malformed" in codes


async def test_another_server_is_told_nothing(world: World, wallet: Script) -> None:
    """Another key behind the pinned address: no hello leaves, and the journal says why."""
    await paired(world, wallet)
    await wallet.ask("stop", name="w")
    world.distributor_key = signing.generate(secrets.token_bytes)
    frames = len(world.frames)
    await wallet.ask("run", name="w")
    await wallet.ask("until", name="w", event="refused", code="wrong_server")
    assert len(world.frames) == frames


async def test_a_clock_that_is_wrong_says_nothing(world: World, wallet: Script) -> None:
    await paired(world, wallet)
    await wallet.ask("stop", name="w")
    frames = len(world.frames)
    await wallet.ask("skew", seconds=-400)
    await wallet.ask("run", name="w")
    await wallet.ask("until", name="w", event="refused", code="clock_skew")
    assert len(world.frames) == frames


@pytest.mark.parametrize(
    "changed, expected",
    [
        ("pin=" + "0" * 64, "peer_not_trusted"),
        ("url=http://example.org", "insecure_transport"),
        ("code=", "bad_data"),
        ("url=nothing", "bad_address"),
    ],
)
async def test_a_bad_pairing_link_pairs_nothing(
    world: World, wallet: Script, changed: str, expected: str
) -> None:
    name = changed.split("=")[0]
    parts = [part for part in link(world).split("?")[1].split("&") if not part.startswith(f"{name}=")]
    said = await wallet.ask("pair", name="w", link=f"cssi://pair?{'&'.join([*parts, changed])}")
    assert said["error"] == expected
    assert world.posted["wallets/pair"] == []
    assert "server" not in await wallet.ask("everything", name="w")


async def test_plain_sockets_are_for_this_machine_only(world: World, wallet: Script) -> None:
    description = {**world.description(), "distributor_socket": "ws://example.org/ws/wallet/"}
    world.description = lambda: description  # type: ignore[method-assign]
    said = await wallet.ask("know", name="w", url=world.url, pin="")
    assert said["error"] == "insecure_transport"


async def test_a_permit_that_says_something_else_is_not_kept(world: World, wallet: Script) -> None:
    await wallet.ask("know", name="w", url=world.url, pin="")
    await wallet.ask("answer", name="w", answer="subscribe")
    honest = world.collective.permit_document
    world.collective.permit_document = lambda **changes: honest(**{**changes, "bucket_min": 2})  # type: ignore[method-assign]
    said = await wallet.ask("subscribe", name="w", collective=world.collective.id)
    assert said["error"] == "bad_permit"
    found = await wallet.ask("everything", name="w")
    assert "permit" not in found
    assert "draft" in found, "the same bytes are sent again"
    world.collective.permit_document = honest  # type: ignore[method-assign]
    key = await wallet.ask("subscribe", name="w", collective=world.collective.id)
    drafted = found["draft"][world.collective.id]["subscription"]
    assert drafted["key"] == key
    first, second = world.posted[f"collectives/{world.collective.id}/subscriptions"]
    assert json.dumps(first) == json.dumps(second)


async def test_letters_wait_for_a_server_that_is_down(world: World, wallet: Script) -> None:
    await wallet.ask("know", name="w", url=world.url, pin="")
    await wallet.ask("answer", name="w", answer="subscribe")
    await wallet.ask("subscribe", name="w", collective=world.collective.id)
    await world.until(lambda: bool(world.openings))
    world.refuse_with = 503
    done = await wallet.ask("revoke", name="w", collective=world.collective.id)
    assert (done["erased"], done["told"]) == (True, False)
    assert await wallet.ask("waiting", name="w") == 1
    world.refuse_with = None
    await wallet.ask("run", name="w")
    await world.until(lambda: bool(world.posted[f"collectives/{world.collective.id}/revocations"]))
    assert (await wallet.ask("revoke", name="w", collective=world.collective.id))["error"] == "not_found"


async def test_data_an_issuer_must_attest_is_for_the_agent(tab: Script, tmp_path: Path) -> None:
    field = {
        **documents.REQUIREMENT["properties"]["ill"],
        "x-assurance": "attested",
        "x-issuers": ["did:key:z6Mk" + "a" * 44],
    }
    asked = {**documents.REQUIREMENT, "properties": {**documents.REQUIREMENT["properties"], "ill": field}}
    async with World(requirement=asked, assurance="attested") as world:
        await tab.ask("create", name="w", record=RECORDS[0])
        await tab.ask("know", name="w", url=world.url, pin="")
        said = await tab.ask("subscribe", name="w", collective=world.collective.id)
        assert said["error"] == "data_missing"
        assert "always-on agent" in said["sentence"]
