"""Tables in messages are checked column by column; every way a column can be wrong has its name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aggregation.secagg.errors import Fault, LocalProtocolError
from aggregation.secagg.messages import (
    Agreement,
    ConsistencySet,
    EscrowShare,
    ListsRequest,
    Member,
    SealedShare,
    SelfShare,
    ShareBundle,
    Unmask,
)
from aggregation.secagg.messages.header import MAX_MEMBERS
from aggregation.secagg.messages.lists import LATEST

H = bytes(32)
MEMBER = Member(job_key=b"j" * 32, public_key=b"p" * 32, index=1, expires=2)


def bundle(*shares: Any) -> ShareBundle:
    return ShareBundle(header=H, bucket=0, joined=(), shares=tuple(shares))


@pytest.mark.parametrize(
    ("peers", "fault"),
    [
        (("1",), Fault.MALFORMED),
        ((True,), Fault.MALFORMED),
        ((-1,), Fault.OUT_OF_RANGE),
        ((MAX_MEMBERS,), Fault.OUT_OF_RANGE),
        ((0, 0), Fault.DUPLICATE),
        ((1, 0), Fault.DUPLICATE),
    ],
)
def test_positions_ascend_within_the_bucket(peers: tuple[Any, ...], fault: Fault) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        bundle(*(SealedShare(peer, bytes(48)) for peer in peers))
    assert caught.value.reason is fault


@pytest.mark.parametrize("ciphertext", [bytes(47), "x" * 48, bytearray(48)])
def test_every_ciphertext_is_bytes_of_one_length(ciphertext: Any) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        bundle(SealedShare(0, bytes(48)), SealedShare(1, ciphertext))
    assert caught.value.reason is Fault.MALFORMED


def test_empty_tables_are_allowed() -> None:
    assert ShareBundle.from_bytes(bundle().to_bytes()) == bundle()
    nobody = ConsistencySet(header=H, bucket=0, survivors=H, agreements=())
    assert ConsistencySet.from_bytes(nobody.to_bytes()) == nobody
    nothing = Unmask(header=H, sender=H, survivors=H, shares=(), signature=bytes(64))
    assert Unmask.from_bytes(nothing.to_bytes()) == nothing


def test_every_agreement_has_a_signature() -> None:
    with pytest.raises(LocalProtocolError):
        ConsistencySet(header=H, bucket=0, survivors=H, agreements=(Agreement(0, bytes(63)),))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"index": "1"}, Fault.MALFORMED),
        ({"index": -1}, Fault.OUT_OF_RANGE),
        ({"expires": LATEST + 1}, Fault.OUT_OF_RANGE),
        ({"expires": False}, Fault.MALFORMED),
        ({"job_key": bytes(31)}, Fault.MALFORMED),
    ],
)
def test_members_are_checked_by_column(change: dict[str, Any], fault: Fault) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        ListsRequest(header=H, randomness=H, buckets=((replace(MEMBER, **change),),))
    assert caught.value.reason is fault


def test_the_two_kinds_of_a_revealed_share_are_never_equal_and_never_shown() -> None:
    own, escrow = SelfShare(1, b"secret-of-16-byt"), EscrowShare(1, b"secret-of-16-byt")
    assert own != escrow
    assert "secret" not in repr(own) + repr(escrow) + f"{own}{escrow}"


def test_one_wallets_message_is_the_same_as_among_everyones() -> None:
    """The server answers a wallet that comes back alone with the very bytes the others got together."""
    from aggregation.secagg.server import bundle_for, consistency_for
    from tests.unit.secagg.pair import Wire, header

    w = Wire(header(bucket_size=6), 6, gone={"masked_input": [5]}).until("close_consistency")
    bucket = w.round.buckets[0]
    for i, key in enumerate(w.keys):
        position = bucket.bucket.position(key)
        assert bundle_for(bucket.bucket, bucket._share_keys, bucket.joined, position) == w.bundles[key]
        if i != 5:
            alone = consistency_for(
                bucket.bucket, bucket._signed_survivors(), bucket._consistencies, position
            )
            assert alone == w.agreements[key]
