"""Oracles 1 and 2: the sum is the survivors' sum, bit for bit, whoever falls silent when; and a wrap is noticed.

CSSI_LONG=1 runs many more and larger rounds.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from aggregation.secagg import vectors
from aggregation.secagg.errors import Abort, AbortReason, Fault, LocalProtocolError, RemoteProtocolError
from aggregation.secagg.server import RoundSum
from tests.unit.secagg.pair import Wire, header, member_log, random_updates

LONG = os.environ.get("CSSI_LONG") == "1"
PHASES = ("advertise", "share_keys", "masked_input", "consistency", "unmask")
ROUNDS = settings(
    max_examples=400 if LONG else 40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def assert_exact(wire: Wire, result: RoundSum) -> None:
    assert result.sums
    for index, bucket_sum in result.sums.items():
        bucket = wire.round.buckets[index]
        assert bucket_sum.count == len(bucket.included)
        np.testing.assert_array_equal(bucket_sum.sum, wire.plain_sum(bucket))


@st.composite
def rounds(draw: st.DrawFn) -> Wire:
    n = draw(st.integers(3, 200 if LONG else 24))
    ring = draw(st.sampled_from([16, 32]))
    graph = draw(st.sampled_from(["complete", "circulant"]))
    size = draw(st.integers(min(n, 3), min(n, 64)))
    fields = {
        "log": member_log(n),
        "d": draw(st.integers(1, 5000 if LONG else 300)),
        "ring_bits": ring,
        "rotation_seed": draw(st.sampled_from([b"", b"r" * 32])),
        "bucket_size": size,
        "graph": graph,
        "k": 2 * draw(st.integers(1, 20)) if graph == "circulant" else 0,
    }
    room = ring - (max(size, 5) - 1).bit_length()  # two small buckets may stay together as one of 5
    head = header(q=draw(st.integers(2, min(room, 20))), **fields)
    gone = {phase: draw(st.sets(st.integers(0, n - 1), max_size=max(1, n // 6))) for phase in PHASES}
    return Wire(head, n, seed=draw(st.integers(0, 2**32)), gone=gone)


@ROUNDS
@given(rounds())
def test_the_sum_is_exact_or_the_round_ends_with_a_named_reason(wire: Wire) -> None:
    try:
        result = wire.run()
    except Abort as abort:
        event("round aborted")
        assert isinstance(abort.reason, AbortReason)
        assert abort.reason.value in {"below_release_min", "too_few_members"}
        return
    assert_exact(wire, result)
    event("some bucket failed" if result.failed else "all buckets")
    for abort in result.failed.values():
        assert abort.reason not in {AbortReason.WRONG_COUNT, AbortReason.WRONG_CHECKSUM, AbortReason.WRAPPED}


@pytest.mark.parametrize("pattern", list(product((*PHASES, None), repeat=2)))
def test_every_pair_of_phases_to_fall_silent_in_is_survived(pattern: tuple[str | None, str | None]) -> None:
    """With 8 wallets and t = 5, two may be lost anywhere and 6 (or the listed less two) are summed."""
    gone: dict[str, set[int]] = {}
    for wallet, phase in enumerate(pattern):
        if phase is not None:
            gone.setdefault(phase, set()).add(wallet)
    wire = Wire(header(bucket_size=8, log_members=8), 8, gone=gone)
    result = wire.run()
    lost_early = sum(phase in {"advertise", "share_keys", "masked_input"} for phase in pattern)
    assert result.count == 8 - lost_early
    assert_exact(wire, result)


def test_a_production_bucket_survives_loss_in_every_phase() -> None:
    head = header(
        log=member_log(120),
        development=False,
        bucket_size=50,
        bucket_min=40,
        release_min=100,
        threshold_ppm=760_000,
        q=20,
        d=200,
    )
    gone = {
        "advertise": [0],
        "share_keys": [1, 2],
        "masked_input": [3, 4],
        "consistency": [5],
        "unmask": [6, 7],
    }
    wire = Wire(head, 120, gone=gone)
    result = wire.run()
    assert result.count == 115
    assert not result.failed
    assert_exact(wire, result)


def test_a_failed_bucket_does_not_take_the_round_with_it() -> None:
    wire = Wire(header(log=member_log(20), bucket_size=10, bucket_min=3, release_min=5), 20)
    wire.until("close_shares")
    first = {m.job_key for m in wire.round.buckets[0].bucket.members}
    wire.gone = {"masked_input": [i for i in range(20) if wire.keys[i] in first][:8]}
    for step in wire.STEPS[4:]:
        getattr(wire, step)()
    result = wire.round.release()
    assert {i: a.reason for i, a in result.failed.items()} == {0: AbortReason.BELOW_BUCKET_MIN}
    assert result.count == 10
    assert_exact(wire, result)


def test_masks_on_two_threads_give_the_same_sum() -> None:
    wire = Wire(header(bucket_size=8, d=40_000), 8, gone={"masked_input": [2]})
    with ThreadPoolExecutor(1) as executor:
        assert_exact(wire, wire.run(executor))


def test_the_float_path_stays_within_the_rounding_bound() -> None:
    head = header(bucket_size=8, d=64, f=12, q=20)
    real = np.sin(np.arange(8 * 64)).reshape(8, 64)
    updates = np.floor(real * 2**head.f).astype(np.int64)
    result = Wire(head, 8, updates=updates).run()
    back = result.sums[0].sum / 2**head.f
    assert np.abs(back - real.sum(axis=0)).max() <= 8 * 2**-head.f


def test_extreme_updates_do_not_wrap() -> None:
    for ring in (16, 32):
        head = header(bucket_size=8, ring_bits=ring, q=ring - 3, d=2)
        bound = 1 << (head.q - 1)
        updates = np.array([[-bound, bound - 1]] * 8)
        assert Wire(head, 8, updates=updates).run().sums[0].sum.tolist() == [-8 * bound, 8 * (bound - 1)]


def test_a_sum_larger_than_its_wallets_can_make_is_noticed() -> None:
    head = header(q=4, d=2)
    words = np.zeros(head.words, dtype="<u4")
    words[:3] = [3 * 8, 0, 3]
    words[3] = vectors.checksum(head, words[:-1])
    with pytest.raises(Abort) as caught:
        vectors.decode_sum(head, words, 3)
    assert caught.value.reason is AbortReason.WRAPPED


@pytest.mark.parametrize("ring", [16, 32])
def test_any_single_changed_bit_of_a_sum_is_noticed(ring: int) -> None:
    head = header(q=8, d=3, ring_bits=ring)
    words = vectors.encode_update(head, [1, -2, 3])
    for word in range(head.words):
        for bit in range(ring):
            changed = words.copy()
            changed[word] ^= 1 << bit
            with pytest.raises(Abort):
                vectors.decode_sum(head, changed, 1)


@pytest.mark.parametrize(
    "update", [[1, 2], [1, 2, 3, 4], [[1, 2, 3]], [0.5, 1, 2], [128, 0, 0], [-129, 0, 0], [math.nan] * 3]
)
def test_updates_the_quantiser_cannot_have_made_are_refused(update: list[float]) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        vectors.encode_update(header(q=8, d=3), update)
    assert caught.value.reason is Fault.WRONG_UPDATE


def test_an_accumulator_resumes_from_its_bytes_and_is_used_once() -> None:
    head = header()
    rows = [vectors.encode_update(head, row).tobytes() for row in random_updates(head, 3)]
    whole = vectors.Accumulator(head)
    for row in rows:
        whole.add(row)
    half = vectors.Accumulator(head)
    half.add(rows[0])
    resumed = vectors.Accumulator.from_bytes(head, half.to_bytes())
    resumed.add(rows[1])
    resumed.add(rows[2])
    assert resumed.to_bytes() == whole.to_bytes()
    with pytest.raises(RemoteProtocolError):
        whole.add(rows[0][:-1])
    whole.take()
    for use in (whole.take, lambda: vectors.Accumulator.take(half) if half.erase() is None else None):
        with pytest.raises(LocalProtocolError):
            use()
