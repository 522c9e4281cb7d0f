"""The wallets' messages, which come in numbers, are read by their shape: the same message as the strict decoder's, or left to it."""

from __future__ import annotations

import random
from typing import Any
from unittest.mock import patch

import pytest

from aggregation.secagg.errors import Fault, RemoteProtocolError
from aggregation.secagg.messages import Advertise, Consistency, MaskedInput, ShareKeys, Unmask
from aggregation.wire import cbor
from tests.unit.secagg.test_decoders import mutated, samples

KINDS = [Advertise, ShareKeys, MaskedInput, Consistency, Unmask]
Read = Advertise | ShareKeys | MaskedInput | Consistency | Unmask
Kind = type[Read]


def the_long_way(kind: Kind, data: bytes) -> Read:
    """As a kind without a shape is read."""
    with patch.object(kind, "SHAPE", None):
        return kind.from_bytes(data)


def is_read(kind: Kind, data: bytes) -> bool:
    assert kind.SHAPE is not None
    return kind.SHAPE.read(data) is not None


@pytest.mark.parametrize("kind", KINDS)
def test_both_ways_give_one_message_and_one_signed_text(kind: Kind) -> None:
    data, dice, read = samples()[kind], random.Random(kind.KIND), 0
    assert is_read(kind, data)
    for tried in [data, *(mutated(data, dice) for _ in range(2_000))]:
        if is_read(kind, tried):
            read += 1
            message = kind.from_bytes(tried)
            assert message == the_long_way(kind, tried)
            assert message.__dict__["_signed_encoding"] == cbor.encode(message.signed_body())
            assert message.to_bytes() == tried
    assert read > 20  # changed content keeps the shape; so both branches were taken


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_that_is_read_is_verified(kind: Kind) -> None:
    message = kind.from_bytes(samples()[kind])
    message.verify_by(message.sender)
    message.verify_by(message.sender)
    values = {**cbor.decode(samples()[kind]), "header": bytes(32)}
    with pytest.raises(RemoteProtocolError) as caught:
        kind.from_bytes(cbor.encode(values)).verify_by(message.sender)
    assert caught.value.reason is Fault.BAD_SIGNATURE


@pytest.mark.parametrize("kind", [ShareKeys, Unmask])
def test_tables_that_no_shape_foresees_are_decoded(kind: Any) -> None:
    values = cbor.decode(samples()[kind])
    far = [[300 + i, *row[1:]] for i, row in enumerate(values["shares"])]
    for shares in ([], far):
        data = cbor.encode({**values, "shares": shares})
        assert is_read(kind, data) is (not shares)
        assert [share[0] for share in kind.from_bytes(data).shares] == [row[0] for row in shares]
    twice = cbor.encode({**values, "shares": [values["shares"][0]] * 2})
    assert not is_read(kind, twice)
    with pytest.raises(RemoteProtocolError) as caught:
        kind.from_bytes(twice)
    assert caught.value.reason is Fault.DUPLICATE
