"""Known faults of a widely used SecAgg+ implementation (Flower 1.42), each as a named negative test of ours."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from aggregation.secagg import masking, vectors
from aggregation.secagg.errors import LocalProtocolError, ProtocolError
from aggregation.secagg.messages import EscrowShare, SelfShare, Unmask
from aggregation.secagg.server import Accumulator
from aggregation.wire import signing
from tests.unit.secagg.pair import Entropy, Wire, header, job_key
from tests.unit.secagg.tamper import changed


def test_masks_do_not_come_from_a_32_bit_seed() -> None:
    """Seeds that agree in any 4-byte folding must give unrelated masks: all 128 bits reach the cipher."""
    one = Entropy("seed")(16)
    folded = bytes(one[4:8] + one[:4] + one[8:])
    assert np.bitwise_xor.reduce(np.frombuffer(one, "<u4")) == np.bitwise_xor.reduce(
        np.frombuffer(folded, "<u4")
    )
    streams = [b"".join(bytes(block) for block in masking.stream(seed, 64)) for seed in (one, folded)]
    assert streams[0] != streams[1]
    for bit in range(128):
        changed_seed = bytearray(one)
        changed_seed[bit // 8] ^= 1 << bit % 8
        assert b"".join(bytes(b) for b in masking.stream(bytes(changed_seed), 64)) != streams[0]


def test_both_shares_of_one_peer_cannot_be_said_in_one_message() -> None:
    both = (SelfShare(owner=1, share=bytes(16)), EscrowShare(owner=1, share=bytes(16)))
    with pytest.raises(LocalProtocolError):
        Unmask.sign(job_key(0), header=bytes(32), sender=bytes(32), survivors=bytes(32), shares=both)
    one = Unmask.sign(job_key(0), header=bytes(32), sender=bytes(32), survivors=bytes(32), shares=both[:1])
    with pytest.raises(ProtocolError):
        Unmask.from_bytes(changed(one.to_bytes(), shares=lambda old: [*old, [1, "escrow", bytes(16)]]))


def test_unsigned_messages_are_refused_in_every_phase() -> None:
    w = Wire(header(bucket_size=6), 6)
    receivers = {
        "advertise": lambda data: w.round.receive_advertise(data, now=0),
        "share_keys": lambda data: w.bucket_of(0).receive_share_keys(data),
        "masked_input": lambda data: w.bucket_of(0).receive_masked(data),
        "consistency": lambda data: w.bucket_of(0).receive_consistency(data),
        "unmask": lambda data: w.bucket_of(0).receive_unmask(data),
    }
    for step in w.STEPS:
        getattr(w, step)()
        if step in receivers:
            unsigned = changed(w.sent[step][0], signature=bytes(64))
            with pytest.raises(ProtocolError) as caught:
                receivers[step](unsigned)
            assert caught.value.code == "bad_signature"


def test_different_survivor_lists_are_noticed_before_anything_is_revealed() -> None:
    w = Wire(header(bucket_size=6), 6).until("close_consistency")
    other = changed(w.agreements[w.keys[0]], survivors=bytes(32))
    with pytest.raises(ProtocolError):
        w.clients[0].receive_consistency(other)
    assert not w.notes[0].noted


@pytest.mark.parametrize("phase", ["advertise", "share_keys"])
def test_a_wallet_lost_in_the_first_two_phases_does_not_end_the_round(phase: str) -> None:
    w = Wire(header(bucket_size=8), 8, gone={phase: [2]})
    result = w.run()
    assert result.count == 7
    np.testing.assert_array_equal(result.sums[0].sum, w.plain_sum(w.round.buckets[0]))


def test_the_server_keeps_one_vector_however_many_wallets_there_are() -> None:
    head = header(bucket_size=8, d=500_000)
    vector = head.masked_bytes
    accumulator = Accumulator(head)
    y = bytes(vector)
    tracemalloc.start()
    for _ in range(30):
        accumulator.add(y)
    vectors.add_mask(accumulator.words, b"k" * 16, -1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < vector


def test_a_whole_bucket_needs_less_than_four_vectors() -> None:
    w = Wire(header(bucket_size=8, d=300_000), 8, gone={"masked_input": [1]}).until("unmask")
    w.sent.clear()
    tracemalloc.start()
    w.bucket_of(0).finish()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * w.head.masked_bytes, "besides the accumulator: the integers of the sum, two words each"


def test_keys_are_fresh_per_round() -> None:
    rounds = [Wire(header(round=r), 5, seed=r).until("advertise") for r in (1, 2)]
    first, second = ({m.public_key for m in w.round._advertises.values()} for w in rounds)
    assert not first & second
    assert signing.public_key(job_key(0)) in rounds[0].round._advertises
