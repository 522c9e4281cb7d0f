"""Oracle 3: below t, bucket_min or release_min there is a named abort, and what the server holds gives no partial sum."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from aggregation.secagg import masking, shamir, vectors
from aggregation.secagg.errors import Abort, AbortReason
from aggregation.secagg.messages import Unmask
from aggregation.secagg.server import (
    Accumulator,
    assign_buckets,
    check_survivors,
    close_masked,
    cohort_randomness,
    enough_to_unmask,
    unmask,
)
from tests.unit.secagg.pair import Wire, distributor, header, member_log


def reason_of(call: object) -> AbortReason:
    with pytest.raises(Abort) as caught:
        call()  # type: ignore[operator]
    assert isinstance(caught.value.reason, AbortReason)
    return caught.value.reason


@pytest.mark.parametrize(
    ("gone", "fields", "reason"),
    [
        ({"advertise": range(6)}, {"release_min": 3}, "too_few_members"),
        ({"masked_input": range(5)}, {"bucket_min": 4, "release_min": 4}, "below_release_min"),
        ({"masked_input": [0, 1]}, {"release_min": 7}, "below_release_min"),
        ({"unmask": range(4)}, {}, "below_release_min"),
        ({"consistency": range(4)}, {}, "below_release_min"),
        ({"share_keys": range(4)}, {}, "below_release_min"),
    ],
)
def test_too_few_at_any_phase_ends_the_round(
    gone: dict[str, range], fields: dict[str, int], reason: str
) -> None:
    wire = Wire(header(bucket_size=8, **fields), 8, gone=gone)
    assert reason_of(wire.run).value == reason


@pytest.mark.parametrize(
    ("gone", "reason"),
    [
        ({"share_keys": range(4)}, "too_few_joined"),
        ({"masked_input": range(3)}, "below_threshold"),
        ({"masked_input": range(5)}, "below_bucket_min"),
        ({"consistency": range(4)}, "too_few_agree"),
        ({"unmask": range(4)}, "too_few_unmask"),
    ],
)
def test_the_bucket_says_why(gone: dict[str, range], reason: str) -> None:
    wire = Wire(header(bucket_size=8, bucket_min=4, release_min=4), 8, gone=gone)
    with pytest.raises(Abort):
        wire.run()
    abort = wire.round.buckets[0].abort_reason
    assert abort is not None
    assert abort.reason.value == reason


def test_buckets_that_would_start_below_their_minimum_are_not_drawn() -> None:
    head = header(log=member_log(40), development=False, bucket_size=50, bucket_min=30, release_min=100)
    assert head.bucket_count(40) == 1
    small = header(bucket_min=5, bucket_size=5, release_min=5)
    wire = Wire(small, 4)
    wire.advertise()
    assert reason_of(wire.round.close_advertise) is AbortReason.TOO_FEW_MEMBERS


def test_a_bucket_below_its_minimum_is_refused_even_when_the_release_minimum_is_kept() -> None:
    head = header(bucket_size=8, bucket_min=4, release_min=4)
    wire = Wire(head, 8).until("masked_input")
    roster = wire.round._roster
    assert roster is not None
    object.__setattr__(roster.header, "release_min", 2)
    assert reason_of(lambda: close_masked(roster, {0: (0, 1, 2)})) is AbortReason.BELOW_BUCKET_MIN


def test_nobody_is_asked_to_reveal_when_the_total_is_short() -> None:
    wire = Wire(header(bucket_size=8, release_min=7), 8, gone={"masked_input": [0, 1]})
    wire.until("masked_input")
    assert reason_of(wire.sign_survivors) is AbortReason.BELOW_RELEASE_MIN
    assert not wire.notes[5].noted
    assert not wire.round.buckets[0]._accumulator.words.size, "the masked sum is erased"


def test_sums_that_came_out_are_dropped_when_too_few_are_left() -> None:
    """Two buckets reach unmasking; one cannot finish, and the other alone is below the release minimum."""
    wire = Wire(header(log=member_log(16), bucket_size=8, bucket_min=4, release_min=12), 16)
    wire.until("sign_lists")
    first = {m.job_key for m in wire.round.buckets[0].bucket.members}
    wire.gone = {"unmask": [i for i in range(16) if wire.keys[i] in first][:5]}
    for step in wire.STEPS[2:]:
        getattr(wire, step)()
    assert reason_of(wire.round.release) is AbortReason.BELOW_RELEASE_MIN


def held_by_server(wire: Wire) -> tuple[dict[int, bytes], dict[int, Unmask]]:
    """Masked vectors and unmask messages by position."""
    bucket = wire.round.buckets[0]
    vectors_held, unmasks = {}, {}
    for i, data in wire.sent["masked_input"].items():
        vectors_held[bucket.bucket.position(wire.keys[i])] = data
    for i, data in wire.sent.get("unmask", {}).items():
        unmasks[bucket.bucket.position(wire.keys[i])] = Unmask.from_bytes(data)
    return vectors_held, unmasks


def test_no_subset_of_what_the_server_holds_below_the_threshold_opens_a_secret() -> None:
    """Exhaustive for 5 wallets, t = 3, two answers: every secret has too few shares, and no set of them opens anything."""
    wire = Wire(header(), 5, gone={"unmask": [0, 1, 2]})
    wire.until("unmask")
    bucket = wire.round.buckets[0]
    _, unmasks = held_by_server(wire)
    keys, graph, salt = bucket._share_keys, bucket.bucket.graph, wire.head.hash()
    assert graph.threshold == 3
    for owner in bucket.included:
        points = [
            (graph.x_of(owner, holder), share.share)
            for holder, message in unmasks.items()
            for share in message.shares
            if share.owner == owner
        ]
        assert len(points) < graph.threshold
        for size in range(1, len(points) + 1):
            for chosen in combinations(points, size):
                guess = shamir.combine(chosen)
                owner_key = bucket.bucket.members[owner].job_key
                assert not masking.self_seed_fits(guess, keys[owner].commitment, owner=owner_key, salt=salt)
                assert (
                    masking.open_escrow(guess, keys[owner].escrow, owner=owner_key, salt=salt, seeds=4)
                    is None
                )
    assert bucket.included == (0, 1, 2, 3, 4)
    assert not enough_to_unmask(bucket.bucket, bucket.joined, bucket._signed_survivors(), unmasks)
    assert reason_of(bucket.finish) is AbortReason.TOO_FEW_UNMASK


def test_no_partial_sum_comes_out_of_any_subset_of_vectors() -> None:
    """Exhaustive for 4 wallets after a finished round: with all secrets the round revealed, only the whole set decodes."""
    wire = Wire(header(bucket_size=4, d=3), 4)
    wire.until("unmask")
    bucket = wire.round.buckets[0]
    _, unmasks = held_by_server(wire)
    graph, head = bucket.bucket.graph, wire.head
    seeds = {}
    for owner in bucket.included:
        points = [
            (graph.x_of(owner, holder), s.share)
            for holder, m in unmasks.items()
            for s in m.shares
            if s.owner == owner
        ]
        seeds[owner] = shamir.combine(points[: graph.threshold])
    ys = {bucket.bucket.position(wire.keys[i]): masked_words(wire, i) for i in range(4)}
    decodable = []
    for size in range(1, 5):
        for chosen in combinations(range(4), size):
            words = np.zeros(head.words, dtype="<u4")
            for position in chosen:
                words += ys[position]
                vectors.add_mask(words, seeds[position], -1)
            try:
                vectors.decode_sum(head, words, size)
            except Abort:
                continue
            decodable.append(chosen)
    assert decodable == [(0, 1, 2, 3)]


def masked_words(wire: Wire, i: int) -> np.ndarray:
    from aggregation.secagg.messages import MaskedInput

    return np.frombuffer(MaskedInput.from_bytes(wire.sent["masked_input"][i]).y, dtype="<u4")


def test_a_vector_that_comes_after_the_survivors_were_signed_stays_masked() -> None:
    wire = Wire(header(bucket_size=8), 8, late=[2])
    wire.until("unmask")
    bucket = wire.round.buckets[0]
    late = bucket.bucket.position(wire.keys[2])
    _, unmasks = held_by_server(wire)
    revealed = [s for m in unmasks.values() for s in m.shares if s.owner == late]
    assert {type(s).__name__ for s in revealed} == {"EscrowShare"}
    result = wire.round.release()
    assert result.count == 7
    np.testing.assert_array_equal(result.sums[0].sum, wire.plain_sum(bucket))


def test_the_steps_check_the_minima_again_before_computing() -> None:
    wire = Wire(header(bucket_size=8, release_min=5), 8).until("unmask")
    bucket = wire.round.buckets[0]
    survivors = bucket._signed_survivors()
    object.__setattr__(survivors, "total", 4)
    held = (
        bucket.bucket,
        bucket._share_keys,
        bucket.joined,
        survivors,
        bucket._unmasks,
        Accumulator(wire.head),
    )
    assert reason_of(lambda: unmask(*held)) is AbortReason.BELOW_RELEASE_MIN
    assert (
        reason_of(lambda: check_survivors(bucket.bucket, bucket.joined, ())) is AbortReason.BELOW_BUCKET_MIN
    )


def test_a_circulant_bucket_aborts_when_one_wallet_lost_its_neighbours() -> None:
    head = header(log=member_log(12), bucket_size=12, graph="circulant", k=4)
    wire = Wire(head, 12).until("close_shares")
    bucket = wire.round.buckets[0].bucket
    silent = {0, 1, 11}  # neighbours of position 0 are 1, 2, 10, 11; it and two of them fall silent
    lost = [i for i in range(12) if bucket.position(wire.keys[i]) in silent]
    wire.gone = {"masked_input": lost}
    wire.masked_input()
    assert reason_of(wire.sign_survivors) is AbortReason.BELOW_RELEASE_MIN
    abort = wire.round.buckets[0].abort_reason
    assert abort is not None
    assert abort.reason is AbortReason.BELOW_THRESHOLD


def test_wallets_with_the_same_round_key_are_left_out() -> None:
    from aggregation.secagg.messages import Advertise
    from aggregation.wire import signing
    from tests.unit.secagg.pair import Entropy, job_key

    wire = Wire(header(), 5)
    wire.advertise()
    messages = [Advertise.from_bytes(data) for data in wire.sent["advertise"].values()]
    copied = Advertise.sign(
        job_key(5),
        header=wire.head.hash(),
        sender=signing.public_key(job_key(5)),
        public_key=messages[0].public_key,
    )
    roster = assign_buckets(
        wire.head, [*messages, copied], log=member_log(8), randomness=cohort_randomness([Entropy(1)(16)])
    )
    assert set(roster.dropped) == {messages[0].sender, copied.sender}
    assert len(roster.signed(roster.lists.sign(distributor())).buckets[0].members) == 4
