"""A masked input read piece by piece is taken, refused and added as one that is in memory as a whole."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest

from aggregation.secagg.errors import Fault, RemoteProtocolError
from aggregation.secagg.messages import (
    MaskedClaim,
    MaskedInput,
    masked_input_bytes,
    read_behind_vector,
    read_to_vector,
)
from aggregation.secagg.server import accept_masked, accept_masked_pieces
from aggregation.secagg.vectors import Accumulator
from tests.unit.secagg.pair import Entropy, Wire, header, job_key, member_log

Read = Callable[[memoryview], None]
LONG = 300_001
"""Bytes of a vector that takes several pieces."""


def reading(data: bytes) -> Read:
    file = io.BytesIO(data)

    def read(into: memoryview) -> None:
        if file.readinto(into) != len(into):
            raise EOFError

    return read


def signed(y: bytes) -> MaskedInput:
    return MaskedInput.sign(job_key(0), header=bytes(32), sender=bytes(range(32)), y=y)


@pytest.mark.parametrize("size", [0, 1, 23, 24, 255, 256, 65_535, 65_536, 131_072, LONG])
def test_what_is_read_is_the_message_with_its_vectors_hash(size: int) -> None:
    message = signed(bytes(i % 251 for i in range(size)))
    claim = MaskedClaim.read(reading(message.to_bytes()), size)
    assert (claim.header, claim.sender, claim.signature) == (
        message.header,
        message.sender,
        message.signature,
    )
    assert claim.y == message.y_hash
    assert claim.signed_body() == message.signed_body()
    assert len(message.to_bytes()) == masked_input_bytes(size)


def test_another_size_another_kind_and_another_encoding_are_refused() -> None:
    data = signed(bytes(300)).to_bytes()
    for other, size in (
        (data, 299),
        (data, 301),
        (data.replace(b"masked-input", b"masked-inpux"), 300),
        (data.replace(b"header", b"hedaer"), 300),
        (data.replace(b"sender", b"sendex"), 300),
        (b"\xb8\x06" + data[1:], 300),
    ):
        with pytest.raises(RemoteProtocolError) as refused:
            MaskedClaim.read(reading(other), size)
        assert refused.value.reason is Fault.MALFORMED


def test_the_server_takes_and_refuses_in_pieces_what_it_takes_and_refuses_whole() -> None:
    wire = Wire(header(log=member_log(5), d=40_000), 5).until("masked_input")
    bucket = wire.bucket_of(0).bucket
    everyone = tuple(range(len(bucket.members)))
    sender, other = wire.keys[:2]
    right = wire.sent["masked_input"][0]
    broken = bytearray(right)
    broken[-1] ^= 1
    moved = bytearray(right)
    moved[1000] ^= 1
    unlisted = tuple(place for place in everyone if place != bucket.position(sender))
    cases = [
        (right, sender, everyone),
        (right, other, everyone),
        (right, sender, unlisted),
        (bytes(broken), sender, everyone),
        (bytes(moved), sender, everyone),
        (signed(bytes(bucket.header.masked_bytes)).to_bytes(), None, everyone),
    ]
    for body, who, joined in cases:
        assert outcome(
            lambda b=body, w=who, j=joined: accept_masked_pieces(bucket, reading(b), joined=j, sender=w)
        ) == outcome(lambda b=body, w=who, j=joined: accept_masked(bucket, b, joined=j, sender=w))


def outcome(accept: Callable[[], MaskedClaim | MaskedInput]) -> tuple[object, ...]:
    try:
        message = accept()
    except RemoteProtocolError as error:
        return (error.reason,)
    return (message.header, message.sender, message.signature)


@pytest.mark.parametrize("bits", [32, 16])
def test_a_vector_added_in_pieces_adds_the_same(bits: int) -> None:
    head = header(log=member_log(4), d=100_000, q=10, ring_bits=bits)
    y = Entropy("vector")(head.masked_bytes)
    whole, pieces = Accumulator(head), Accumulator(head)
    data = signed(y).to_bytes()
    for _ in range(3):
        whole.add(y)
        read = reading(data)
        read_to_vector(read, head.masked_bytes)
        pieces.add_from(read)
        assert len(read_behind_vector(read)) == len(data) - len(y) - data.index(y)
    assert pieces.to_bytes() == whole.to_bytes() == bytes(pieces.view)
