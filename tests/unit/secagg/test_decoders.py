"""Oracle 12: whatever bytes arrive, a decoder gives a message that encodes to the same bytes, or a named protocol error.

10,000 inputs by default; CSSI_LONG=1 tries 200,000. Most inputs are real messages with something changed, since pure noise stops
at the first byte.
"""

from __future__ import annotations

import os
import random
from dataclasses import FrozenInstanceError, fields
from functools import lru_cache
from typing import Any

import pytest

from aggregation.secagg.errors import (
    AbortReason,
    Fault,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
)
from aggregation.secagg.messages import (
    Advertise,
    AdvertiseList,
    Appeal,
    Consistency,
    ConsistencySet,
    Enrolment,
    Evidence,
    Header,
    ListsRequest,
    MaskedInput,
    Message,
    PayoutOpening,
    PhaseSeconds,
    PresenceReceipt,
    ShareBundle,
    ShareKeys,
    Survivors,
    SurvivorsRequest,
    Unmask,
)
from aggregation.wire import cbor
from tests.unit.secagg.pair import COLLECTIVE, JOB, Wire, enrolment, header, job_key, member_log
from tests.unit.secagg.tamper import changed, without

INPUTS = 200_000 if os.environ.get("CSSI_LONG") == "1" else 10_000


@lru_cache(maxsize=1)
def samples() -> dict[type[Message], bytes]:
    """One real message of every kind."""
    w = Wire(header(log=member_log(10), bucket_size=5, d=2), 10, gone={"masked_input": [9]})
    w.until("advertise")
    lists = w.round.close_advertise()
    from tests.unit.secagg.pair import distributor

    w.lists = w.round.lists_signed(ListsRequest.from_bytes(lists).sign(distributor()))
    for step in w.STEPS[2:5]:
        getattr(w, step)()
    survivors = w.round.close_inputs()
    w.survivors = w.round.survivors_signed(SurvivorsRequest.from_bytes(survivors).sign(distributor()))
    for step in w.STEPS[6:]:
        getattr(w, step)()
    receipt = PresenceReceipt.sign(
        job_key(0),
        job=JOB,
        round=1,
        collective=COLLECTIVE,
        requirement_hash=bytes(32),
        data_commitment=bytes(32),
        header_hash=bytes(32),
        job_key=bytes(32),
        ticket=bytes(16),
    )
    opening = PayoutOpening.sign(job_key(0), address=bytes(20), salt=bytes(32), agreement_hash=bytes(32))
    appeal = Appeal.sign(job_key(0), collective=COLLECTIVE, text=b"It was the network.", created=1)
    return {
        Header: w.head.to_bytes(),
        Enrolment: enrolment(0).to_bytes(),
        PresenceReceipt: receipt.to_bytes(),
        PayoutOpening: opening.to_bytes(),
        Appeal: appeal.to_bytes(),
        Advertise: w.sent["advertise"][0],
        ListsRequest: lists,
        AdvertiseList: w.lists[w.keys[0]],
        ShareKeys: w.sent["share_keys"][0],
        ShareBundle: w.bundles[w.keys[0]],
        MaskedInput: w.sent["masked_input"][0],
        SurvivorsRequest: survivors,
        Survivors: w.survivors[w.bucket_of(0).bucket.index],
        Consistency: w.sent["consistency"][0],
        ConsistencySet: w.agreements[w.keys[0]],
        Unmask: w.sent["unmask"][0],
    }


KINDS = list(samples())


def odd_value(dice: random.Random) -> Any:
    return dice.choice(
        [
            None,
            True,
            0,
            -1,
            2**53 - 1,
            b"",
            bytes(32),
            bytes(64),
            "",
            "x",
            [],
            [[]],
            [1, 2],
            {},
            {"a": 1},
            [[1, b""]],
            [[[]]],
        ]
    )


def replaced(value: Any, dice: random.Random) -> Any:
    """The value with one odd thing somewhere inside."""
    if isinstance(value, dict) and value and dice.random() < 0.9:
        key = dice.choice(list(value))
        return {**value, key: replaced(value[key], dice)}
    if isinstance(value, list) and value and dice.random() < 0.8:
        at, copy = dice.randrange(len(value)), list(value)
        action = dice.randrange(4)
        if action == 0:
            del copy[at]
        elif action == 1:
            copy.insert(at, copy[at])
        else:
            copy[at] = replaced(copy[at], dice)
        return copy
    return odd_value(dice)


def mutated(data: bytes, dice: random.Random) -> bytes:
    choice = dice.randrange(4)
    if choice == 0:
        return cbor.encode(replaced(cbor.decode(data), dice))
    if choice == 1:
        at, copy = dice.randrange(len(data)), bytearray(data)
        copy[at] ^= 1 << dice.randrange(8)
        return bytes(copy)
    if choice == 2:
        return data[: dice.randrange(len(data))] + dice.randbytes(dice.randrange(4))
    at = dice.randrange(len(data))
    return data[:at] + dice.randbytes(dice.randrange(1, 6)) + data[at:]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_changed_messages_decode_to_themselves_or_raise_a_named_error(kind: type[Message]) -> None:
    dice, data = random.Random(kind.__name__), samples()[kind]
    decoded = 0
    for _ in range(INPUTS // len(KINDS)):
        tried = mutated(data, dice)
        try:
            message = kind.from_bytes(tried)
        except RemoteProtocolError as error:
            assert isinstance(error.reason, Fault)
            continue
        assert message.to_bytes() == tried
        decoded += 1
    assert decoded < INPUTS // len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_noise_is_malformed(kind: type[Message]) -> None:
    dice = random.Random(7)
    for length in range(60):
        with pytest.raises(RemoteProtocolError):
            kind.from_bytes(dice.randbytes(length))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_message_is_exactly_its_fields(kind: type[Message]) -> None:
    data = samples()[kind]
    message = kind.from_bytes(data)
    assert message.to_bytes() == data
    assert kind.from_bytes(data) == message
    with pytest.raises(FrozenInstanceError):
        message.header = b""  # type: ignore[attr-defined]
    for field in fields(message):
        with pytest.raises(RemoteProtocolError):
            kind.from_bytes(without(data, field.name))
    for change in ({"extra": 1}, {"v": 2}, {"v": True}, {"t": "other"}):
        with pytest.raises(RemoteProtocolError) as caught:
            kind.from_bytes(changed(data, **change))
        assert caught.value.code == "malformed"


def test_shares_in_the_clear_are_not_shown() -> None:
    message = Unmask.from_bytes(samples()[Unmask])
    assert message.shares[0].share.hex() not in repr(message)
    assert repr(message.shares[0].share) not in repr(message)
    assert "y=" not in repr(MaskedInput.from_bytes(samples()[MaskedInput]))


PRODUCTION: dict[str, Any] = {"development": False, "bucket_size": 50, "bucket_min": 45, "release_min": 100}


@pytest.mark.parametrize(
    "fields_",
    [
        {**PRODUCTION, "bucket_min": 19},
        {**PRODUCTION, "release_min": 99},
        {"release_min": 1},
        {"bucket_min": 1},
        {"bucket_min": 6, "release_min": 5},
        {"bucket_size": 1},
        {"threshold_ppm": 500_000},
        {"threshold_ppm": 1_000_001},
        {"q": 30},
        {"q": 1},
        {"ring_bits": 16, "q": 14},
        {"ring_bits": 24},
        {"graph": "complete", "k": 2},
        {"graph": "circulant", "k": 3},
        {"graph": "circulant", "k": 0},
        {"graph": "circulant", "k": 256},
        {"graph": "star"},
        {"graph": ["complete"]},
        {"bucket_size": 257},
        {"d": 0},
        {"round": 0},
        {"round": True},
        {"job": bytes(15)},
        {"rotation_seed": bytes(31)},
        {"distributor_key": bytes(32)},
        {"deadlines": {"advertise": 1}},
        {"deadlines": PhaseSeconds(advertise=0, share_keys=1, masked_input=1, consistency=1, unmask=1)},
        {"development": 1},
        {"clip_micro": 0},
        {"noise_micro": -1},
    ],
    ids=str,
)
def test_headers_the_protocol_does_not_allow_cannot_be_built(fields_: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        header(**fields_)


def test_a_production_header_can_be_built() -> None:
    head = header(**PRODUCTION)
    assert head.threshold(50) == 26
    assert head.phase_seconds()["unmask"] == 30
    assert head.words == head.d + 2
    assert header(rotation_seed=bytes(32), d=5).padded_d == 8
    assert header(ring_bits=16, q=10).masked_bytes == 14


def test_every_field_of_the_header_changes_its_hash() -> None:
    base = header(graph="circulant", k=2, bucket_size=6)
    other: dict[str, Any] = {
        "job": bytes(16),
        "round": 2,
        "manifest_hash": bytes(32),
        "checkpoint_hash": bytes(32),
        "d": 6,
        "ring_bits": 16,
        "q": 9,
        "f": 9,
        "clip_micro": 1,
        "noise_micro": 1,
        "rotation_seed": bytes(32),
        "bucket_size": 7,
        "bucket_min": 3,
        "release_min": 5,
        "graph": "complete",
        "k": 4,
        "threshold_ppm": 600_000,
        "log_root": bytes(32),
        "log_size": 9,
        "distributor_key": enrolment(1).job_key,
        "deadlines": PhaseSeconds(advertise=1, share_keys=1, masked_input=1, consistency=1, unmask=1),
        "development": False,
    }
    assert set(other) == {field.name for field in fields(Header)}
    hashes = {base.hash()}
    for name, value in other.items():
        values = {field.name: getattr(base, field.name) for field in fields(Header)}
        if name == "graph":
            values["k"] = 0
        if name == "bucket_min":
            values["release_min"] = 4
        if name == "ring_bits":
            values["q"] = 9
        if name == "development":
            values |= {"bucket_min": 20, "bucket_size": 20, "release_min": 100}
        hashes.add(Header(**{**values, name: value}).hash())
    assert len(hashes) == len(other) + 1


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (ShareBundle, {"joined": (2, 1)}),
        (ShareBundle, {"joined": [1, 2]}),
        (ShareBundle, {"shares": [1]}),
        (AdvertiseList, {"members": ()}),
        (AdvertiseList, {"path": [bytes(32)]}),
        (AdvertiseList, {"path": (bytes(32),) * 41}),
        (AdvertiseList, {"evidence": (Evidence(position=0, signature=b"", proof=()),)}),
        (ListsRequest, {"buckets": ()}),
        (SurvivorsRequest, {"buckets": ()}),
        (Survivors, {"total": 1}),
        (ShareKeys, {"escrow": bytes(5000)}),
    ],
)
def test_messages_that_could_not_be_decoded_cannot_be_built(
    kind: type[Message], change: dict[str, Any]
) -> None:
    message = kind.from_bytes(samples()[kind])
    values = {field.name: getattr(message, field.name) for field in fields(message)}
    with pytest.raises(ProtocolError):
        kind(**{**values, **change})


def test_every_reason_has_its_own_code_and_a_sentence() -> None:
    for group in (Fault, AbortReason):
        assert len({reason.value for reason in group}) == len(group)
        for reason in group:
            assert reason.sentence.endswith(".")
            assert len(reason.sentence) > 20
            assert reason.value == reason.value.lower()
    error = RemoteProtocolError(Fault.BAD_KEY, "which one")
    assert str(error) == f"{Fault.BAD_KEY.sentence} (which one)"
    assert str(RemoteProtocolError(Fault.BAD_KEY)) == Fault.BAD_KEY.sentence
    assert error.code == "bad_key"
