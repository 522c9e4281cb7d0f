"""Oracle 12 beyond the messages: every decoder of the wire, and live parties that are sent changed messages.

`test_decoders` fuzzes `from_bytes` of every message. Here the leaf formats (CBOR, sealed bodies, service signatures, slot tokens, audit
paths, shares) and the machines get theirs: whatever arrives, a value or a named error comes out, and a refusal leaves a server as it was.
`make fuzz` runs both files with 200,000 inputs each; without it a short run belongs to the ordinary tests.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import Any

import pytest

from aggregation.secagg import masking, shamir
from aggregation.secagg.errors import Fault, ProtocolError
from aggregation.secagg.messages import Header
from aggregation.secagg.messages.codec import verify
from aggregation.server import tokens
from aggregation.wire import cbor, http, merkle, sealing, signing
from aggregation.wire.errors import AuthError, BadProof, CodecError, SealError
from aggregation.wire.secret import Secret
from tests.unit.secagg.pair import NOW, Entropy, Wire, client, header, job_key
from tests.unit.secagg.test_decoders import mutated, replaced, samples

INPUTS = 200_000 if os.environ.get("CSSI_LONG") == "1" else 6_000
RECIPIENT = Secret(Entropy("recipient")(32))


def nested(dice: random.Random, depth: int = 0) -> Any:
    """A random value of the allowed kinds, sometimes deeper than allowed."""
    choice = dice.randrange(9 if depth < 18 else 6)
    if choice < 6:
        return [
            dice.randrange(-(2**53), 2**53 + 1),
            dice.randbytes(3),
            "é" * dice.randrange(4),
            True,
            None,
            0,
        ][choice]
    if choice == 6:
        return {chr(97 + i): nested(dice, depth + 1) for i in range(dice.randrange(3))}
    return [nested(dice, depth + 1) for _ in range(dice.randrange(1, 3))]


def fuzz_cbor(dice: random.Random) -> None:
    data = (
        dice.randbytes(dice.randrange(1, 24))
        if dice.random() < 0.3
        else mutated(cbor.encode({"a": [1, b"x"]}), dice)
    )
    with suppress(CodecError):
        assert cbor.encode(cbor.decode(data)) == data
    with suppress(CodecError):
        value = nested(dice)
        assert cbor.decode(cbor.encode(value)) == value


@lru_cache(maxsize=1)
def sealed() -> bytes:
    return sealing.seal(sealing.public_key(RECIPIENT), b"label", b"a masked input", Entropy("seal"))


def fuzz_sealing(dice: random.Random) -> None:
    with pytest.raises(SealError):
        sealing.unseal(RECIPIENT, b"label", noise_or_changed(sealed(), dice))


def fuzz_service_signature(dice: random.Random) -> None:
    private = job_key(0)
    request: dict[str, Any] = {"method": "PUT", "path": "/x", "body": b"{}", "now": NOW}
    right = http.sign_request(role="market", private=private, nonce=bytes(16), **request)
    changed = noise_or_changed(right.encode(), dice).decode("latin-1")
    with pytest.raises(AuthError):
        http.verify_request(
            header=changed, keys={"market": signing.public_key(private)}, seen=lambda _: False, **request
        )


def fuzz_slot_token(dice: random.Random) -> None:
    right = tokens.slot_token(3, 14)
    changed = noise_or_changed(right.encode(), dice).decode("latin-1")
    assert tokens.read_slot_token(right) == (3, 14)
    assert tokens.read_slot_token(changed) is None


def fuzz_audit_path(dice: random.Random) -> None:
    leaves = [bytes([i]) for i in range(dice.randrange(1, 20))]
    at = dice.randrange(len(leaves))
    proof = merkle.inclusion_proof(leaves, at)
    path = [noise_or_changed(item, dice) if dice.random() < 0.5 else item for item in proof]
    path += [dice.randbytes(32)] * dice.randrange(2)
    index, size = (
        (at, len(leaves)) if dice.random() < 0.5 else (dice.randrange(-2, 40), dice.randrange(-2, 40))
    )
    if (path, index, size) == (proof, at, len(leaves)):
        return
    try:
        merkle.verify_inclusion(leaves[at], index, size, path, merkle.root(leaves))
    except BadProof:
        return
    assert path == proof, "a path that verifies is the path"


def fuzz_shares(dice: random.Random) -> None:
    points = [
        (dice.randrange(-1, 258), dice.randbytes(dice.choice([16, 16, 16, 15])))
        for _ in range(dice.randrange(4))
    ]
    try:
        assert len(shamir.combine(points)) in (15, 16)
    except ValueError:
        xs = [x for x, _ in points]
        lengths = {len(share) for _, share in points}
        assert not xs or len(set(xs)) < len(xs) or len(lengths) > 1 or not all(0 < x < 256 for x in xs)


def fuzz_boxes(dice: random.Random) -> None:
    key, salt = dice.randbytes(32), bytes(32)
    share = masking.seal_share(key, bytes(32), salt)
    assert masking.open_share(key, noise_or_changed(share, dice), salt) is None
    kappa = dice.randbytes(16)
    box = masking.seal_escrow(Secret(kappa), [bytes(16)] * 2, owner=bytes(32), salt=salt)
    assert (
        masking.open_escrow(kappa, noise_or_changed(box, dice), owner=bytes(32), salt=salt, seeds=2) is None
    )


def fuzz_signature(dice: random.Random) -> None:
    right = signing.sign(job_key(0), b"label", {"a": 1})
    key = signing.public_key(job_key(0))
    changed, other = (
        (noise_or_changed(right, dice), key) if dice.random() < 0.5 else (right, noise_or_changed(key, dice))
    )
    with pytest.raises(ProtocolError) as caught:
        verify(other, b"label", {"a": 1}, changed)
    assert caught.value.reason in {Fault.BAD_KEY, Fault.BAD_SIGNATURE}


def noise_or_changed(data: bytes, dice: random.Random) -> bytes:
    """Other bytes than these: noise, cut, longer, or one bit away."""
    choice = dice.randrange(4)
    if choice == 0:
        made = dice.randbytes(dice.randrange(0, 2 * len(data)))
    elif choice == 1:
        made = data[: dice.randrange(len(data))]
    elif choice == 2:
        made = data + dice.randbytes(dice.randrange(1, 4))
    else:
        copy = bytearray(data)
        copy[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        made = bytes(copy)
    return made if made != data else data + b"\x00"


LEAVES = [
    fuzz_cbor,
    fuzz_sealing,
    fuzz_service_signature,
    fuzz_slot_token,
    fuzz_audit_path,
    fuzz_shares,
    fuzz_boxes,
    fuzz_signature,
]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("one", LEAVES, ids=lambda one: one.__name__)
def test_leaf_formats_give_a_value_or_a_named_error(one: Callable[[random.Random], None]) -> None:
    dice = random.Random(one.__name__)
    for _ in range(INPUTS // (2 * len(LEAVES))):
        one(dice)


SERVER_STEPS: dict[str, Callable[[Wire, bytes], None]] = {
    "advertise": lambda w, d: w.round.receive_advertise(d, now=NOW),
    "share_keys": lambda w, d: w.bucket_of(0).receive_share_keys(d),
    "masked_input": lambda w, d: w.bucket_of(0).receive_masked(d),
    "consistency": lambda w, d: w.bucket_of(0).receive_consistency(d),
    "unmask": lambda w, d: w.bucket_of(0).receive_unmask(d),
}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("step", SERVER_STEPS)
def test_a_server_sent_changed_messages_refuses_them_and_stays_as_it_was(step: str) -> None:
    w = Wire(header(bucket_size=5), 5).until(step)
    bucket = w.round.buckets[0] if w.round.buckets else None
    before = (w.round.phase, bucket and (bucket.phase, bucket.included, bucket.accumulator))
    dice, refused = random.Random(step), 0
    for n in range(INPUTS // 20):
        data = mutated(w.sent[step][n % 5], dice)
        if data == w.sent[step][n % 5]:
            continue
        with pytest.raises(ProtocolError) as caught:
            SERVER_STEPS[step](w, data)
        assert isinstance(caught.value.reason, Fault)
        refused += 1
    assert refused > INPUTS // 50
    assert before == (w.round.phase, bucket and (bucket.phase, bucket.included, bucket.accumulator))


WALLET_STEPS: dict[str, tuple[Callable[[Wire], bytes], Callable[[Wire, bytes], object]]] = {
    "sign_lists": (lambda w: w.lists[w.keys[0]], lambda w, d: w.clients[0].receive_list(d, now=NOW)),
    "close_shares": (lambda w: w.bundles[w.keys[0]], lambda w, d: w.clients[0].receive_shares(d)),
    "sign_survivors": (lambda w: w.survivors[0], lambda w, d: w.clients[0].receive_survivors(d)),
    "close_consistency": (
        lambda w: w.agreements[w.keys[0]],
        lambda w, d: w.clients[0].receive_consistency(d),
    ),
}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("step", WALLET_STEPS)
def test_a_wallet_sent_a_changed_message_refuses_it_and_holds_no_secret(step: str) -> None:
    dice, (right, receive) = random.Random(step), WALLET_STEPS[step]
    for n in range(max(20, INPUTS // 400)):
        w = Wire(header(bucket_size=5), 5, seed=n % 3, verify_sample=None).until(step)
        try:
            receive(w, mutated(right(w), dice))
        except ProtocolError as error:
            assert isinstance(error.reason, Fault)
            assert w.clients[0].closed
            assert not w.clients[0]._edges
            assert not w.clients[0]._held
        assert not w.notes[0].noted or w.clients[0].closed


@pytest.mark.timeout(1800)
def test_changed_headers_are_refused_or_are_another_round() -> None:
    dice, right = random.Random("header"), samples()[Header]
    for _ in range(INPUTS // 20):
        data = cbor.encode(replaced(cbor.decode(right), dice))
        try:
            head = Header.from_bytes(data)
        except ProtocolError:
            continue
        assert data == right or head.hash() != Header.from_bytes(right).hash()
        assert client(head, 0).advertise()
