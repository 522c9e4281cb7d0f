"""One wallet of the tab, in Node: pairing, offers, notices, revocations on the web, servers that misbehave."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from aggregation.wire import signing
from collectives.terms.algorithm import parse_manifest
from collectives.terms.description import Terms
from collectives.terms.permit import Permit
from tests.unit.agent import documents
from tests.unit.agent.world import World
from tests.unit.tab.conftest import RECORDS, link
from tests.unit.tab.node import Script
from wallets.agent import notices
from wallets.agent.messages import SeenNotice


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
    (question,) = await wallet.ask("questions", name="w")
    (kept,) = (await wallet.ask("everything", name="w"))["memory"][world.collective.id]["notices"]
    permit = Permit.parse(world.collective.permits[key.hex()]["document"])
    manifest, terms = parse_manifest(documents.manifest(name="another")), Terms.parse(world.collective.terms)
    words = notices.sentences(SeenNotice(**kept), permit, terms, manifest)
    assert question == {"title": "Heights announces a change", "sentences": list(words)}
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


async def test_an_excluded_wallet_keeps_the_reason_and_objects(world: World, wallet: Script) -> None:
    mailbox = await paired(world, wallet)
    await world.mail(mailbox, "offer", offer(world))
    await world.until(lambda: sum(len(line.keys) for line in world.lines) == 2)
    (key,) = world.subscribers
    letter = world.standing(key, "excluded", "Its sums stood out.")
    changed = [
        {**letter, "reason": "Because."},
        world.standing(mailbox, "excluded", "x"),
        {**letter, "more": 1},
    ]
    for forged in changed:
        assert await acknowledged(world, await world.mail(key, "standing", forged)) == "refused"
    for _ in range(2):
        assert await acknowledged(world, await world.mail(key, "standing", letter)) == "done"
    (kept,) = (await wallet.ask("everything", name="w"))["standing"].values()
    assert (kept["state"], kept["reason"], kept["appeal"]) == ("excluded", "Its sums stood out.", "")
    assert await wallet.ask("appeal", name="w", collective=world.collective.id, text=" The network… ") is None
    await world.until(lambda: bool(world.appeals))
    assert (world.appeals[0].subscription_key, world.appeals[0].text.decode()) == (key, "The network…")
    answer = world.standing(key, "upheld", "No.", revision=2)
    assert await acknowledged(world, await world.mail(key, "standing", answer)) == "done"
    again = await wallet.ask("appeal", name="w", collective=world.collective.id, text="Please.")
    assert again["error"] == "not_excluded"


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
    "frame, expected, stays",
    [
        ({"t": "future", "b": bytes(70_000)}, "huge_frame", False),
        ({"t": 5}, "malformed_frame", False),
        ({"t": "mail", "id": 1, "to": "text", "kind": "offer", "body": b"{}"}, "malformed_frame", True),
        (
            {"t": "mail", "id": 2, "to": bytes(32), "kind": "offer", "body": b"[" * 40},
            "malformed_frame",
            True,
        ),
        ({"t": "invite", "id": bytes(16)}, "malformed_frame", True),
        ({"t": "enrolled", "to": bytes(32), "job": 7}, "malformed_frame", True),
    ],
)
async def test_a_bad_frame_is_in_the_journal_by_name(
    world: World, wallet: Script, frame: dict[str, Any], expected: str, stays: bool
) -> None:
    await paired(world, wallet)
    (line,) = world.lines
    await line.send({"t": "future"})  # a newer server may say more than this wallet knows
    await line.send(frame)
    await wallet.ask("until", name="w", event="refused", code=expected)
    await world.until(lambda: line in world.lines if stays else line not in world.lines)
    assert (await wallet.ask("journal", name="w"))["entries"][-1]["code"] == expected
    if stays:
        await line.send({"t": "ping", "n": 9})
        await world.until(lambda: {"t": "pong", "n": 9} in world.frames)


@pytest.mark.parametrize("kind", ["constructor", "toString", "__proto__", "hasOwnProperty"])
async def test_a_frame_named_as_what_every_object_has_is_only_unknown(
    world: World, wallet: Script, kind: str
) -> None:
    await paired(world, wallet)
    (line,) = world.lines
    before = len(world.frames)
    await line.send({"t": kind, "id": bytes(16), "to": bytes(32)})
    await line.send({"t": "ping", "n": 9})
    await world.until(lambda: {"t": "pong", "n": 9} in world.frames)
    assert world.frames[before:] == [{"t": "pong", "n": 9}]
    assert "malformed_frame" not in [e["code"] for e in (await wallet.ask("journal", name="w"))["entries"]]


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
