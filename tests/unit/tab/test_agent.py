"""Agents of the tab, in Node, over real sockets: whole rounds, cuts, changed data, revoking; what the servers see is checked."""

from __future__ import annotations

import numpy as np
import pytest

from aggregation.secagg.messages import PresenceReceipt
from collectives.terms.agreement import agreement_hash, signing_digest
from collectives.terms.permit import Subscription
from tests.unit.tab.conftest import WALLETS, Scene
from wallets.agent.receipts import genuine


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
    (left,) = [e.job_key for e in scene.enrolments if e.subscription_key == scene.keys[gone]]
    if left in scene.world.members:  # what left before the revocation is not of this round's sum
        scene.world.members[left].got.pop("advertise", None)
    before = len(scene.world.raw)
    summed = await round_._aggregate(len(others), {e.job_key: b"\x00" * 16 for e in scene.enrolments})
    assert summed.count == len(others)
    assert np.array_equal(summed.sum, await scene.total(1, others))
    assert len(scene.world.raw) > before
    assert left not in round_.members("advertise"), "something left after the revocation"
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
    """All lines at once, while each wallet's place in the log is still on its way: it is said again to whoever comes back."""
    before, old = len(scene.world.frames), list(scene.world.lines)
    await scene.tab.ask("cut", names=scene.names)
    await scene.world.until(lambda: [f["t"] for f in scene.world.frames[before:]].count("hello") == WALLETS)
    await scene.world.until(lambda: not any(line in scene.world.lines for line in old))
    await scene.world.until(lambda: sum(len(line.keys) for line in scene.world.lines) == WALLETS)
    done = await scene.round(1).run()
    assert done.count == WALLETS
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
