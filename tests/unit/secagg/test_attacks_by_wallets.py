"""Rows 6 and 9 of the attack table in `test_attacks`: scripted malicious wallets against the real parties."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from aggregation.secagg.errors import AbortReason, Fault
from aggregation.secagg.messages import (
    Advertise,
    EscrowShare,
    Evidence,
    ListsRequest,
    SelfShare,
    ShareKeys,
    Unmask,
)
from aggregation.secagg.server import BucketServer
from aggregation.wire import signing
from tests.unit.secagg import malicious
from tests.unit.secagg.malicious import (
    place,
    refused,
    signed_list,
    small,
)
from tests.unit.secagg.pair import (
    EXPIRES,
    NOW,
    Entropy,
    Wire,
    client,
    header,
    job_key,
    member_log,
)
from tests.unit.secagg.tamper import changed

# Row 6: a cohort of sybils


def test_row_6_sybils_enrolled_after_the_freeze_have_no_proof() -> None:
    w = small().until("sign_lists")
    late = member_log(12)
    target = place(w, 1)

    def change(rows: malicious.Rows) -> None:
        rows[target][0], rows[target][2] = signing.public_key(job_key(10)), 10

    evil = Advertise.sign(
        job_key(10), header=w.head.hash(), sender=signing.public_key(job_key(10)), public_key=bytes(32)
    )
    proof = Evidence(position=target, signature=evil.signature, proof=late.proof(10)).row()
    data = changed(
        signed_list(w, change), evidence=lambda old: [proof if row[0] == target else row for row in old]
    )
    refused(lambda: w.clients[0].receive_list(data, now=NOW), Fault.BAD_PROOF, w.clients[0])


def test_row_6_one_honest_wallet_among_few_sybils_takes_no_part() -> None:
    w = small().until("sign_lists")

    def change(rows: malicious.Rows) -> None:
        own = next(row for row in rows if row[0] == w.keys[0])
        rows[:] = [own, *[row for row in rows if row is not own][:2]]

    refused(
        lambda: w.clients[0].receive_list(signed_list(w, change), now=NOW),
        Fault.TOO_FEW_MEMBERS,
        w.clients[0],
    )


def test_row_6_buckets_cannot_be_aimed_at() -> None:
    """A server that puts the victim with its sybils needs the distributor not to look: the draw is recomputed before it is signed."""
    w = Wire(header(log=member_log(20), bucket_size=10), 20).until("advertise")
    request = ListsRequest.from_bytes(w.round.close_advertise())
    everyone = [member for bucket in request.buckets for member in bucket]
    everyone.sort(key=lambda member: member.index)
    aimed = ListsRequest(
        header=request.header,
        randomness=request.randomness,
        buckets=(tuple(everyone[:10]), tuple(everyone[10:])),
    )
    refused(lambda: aimed.check_assignment(w.head), Fault.WRONG_LIST)


def test_row_6_the_wallet_that_sends_its_key_last_lands_anywhere() -> None:
    """The randomness is fixed by the distributor's tickets before any key exists, and every key moves everyone."""
    landed = []
    for attempt in range(40):
        w = Wire(header(log=member_log(20), bucket_size=10), 20)
        w.gone = {"advertise": [19]}
        w.advertise()
        w.gone = {}
        grinding = client(w.head, 19, seed=("grind", attempt))
        w.round.receive_advertise(grinding.advertise(), now=NOW)
        request = ListsRequest.from_bytes(w.round.close_advertise())
        bucket = {m.job_key: b for b, members in enumerate(request.buckets) for m in members}
        landed.append(bucket[w.keys[19]] == bucket[w.keys[0]])
    assert 9 <= sum(landed) <= 31, "about 9 in 19: a binomial that leaves this range once in 10^4"


def test_row_6_the_committed_draw_can_be_opened_to_an_auditor() -> None:
    """The order of a cohort follows from the committed key, the frozen root and the round; another key does not fit."""
    from wallets.distributor.models import Job
    from wallets.distributor.services import draw

    key, root = Entropy("cohort key")(32), member_log(8).root
    commitment = hashlib.sha256(key).digest()
    keys = [signing.public_key(job_key(i)).hex() for i in range(8)]

    def order(cohort_key: bytes, number: int) -> list[str]:
        return sorted(keys, key=draw.ranking(Job(cohort_key=cohort_key, log_root=root.hex()), number))

    assert hashlib.sha256(key).digest() == commitment
    assert order(key, 1) == order(key, 1)
    assert order(key, 1) != order(key, 2)
    assert order(key, 1) != order(Entropy("chosen afterwards")(32), 1)


def test_row_6_what_sybils_that_are_everyone_else_still_learn_is_a_noised_update() -> None:
    """The stated limit: all others together subtract their own inputs from the sum; only the wallet's own noise is left to it."""
    w = small()
    result = w.run()
    assert w.updates is not None
    learnt = result.sums[0].sum - w.updates[1:].sum(axis=0)
    np.testing.assert_array_equal(learnt, w.updates[0])
    assert w.head.noise_micro > 0, "what left the wallet was the update with its share of the noise"


# Row 9: a bad share, box or vector from a wallet; two buckets, the liars are in the first


def two_buckets() -> tuple[Wire, list[int]]:
    w = Wire(header(log=member_log(20), bucket_size=10, bucket_min=4, release_min=6), 20)
    w.until("sign_lists")
    first = [i for i in range(20) if w.bucket_of(i).bucket.index == 0]
    return w, first


def finish(w: Wire, *, after: str) -> Any:
    for step in w.STEPS[w.STEPS.index(after) + 1 :]:
        getattr(w, step)()
    return w.round.release()


def assert_only_the_first_bucket_failed(w: Wire, result: Any, reason: AbortReason) -> None:
    assert {i: abort.reason for i, abort in result.failed.items()} == {0: reason}
    np.testing.assert_array_equal(result.sums[1].sum, w.plain_sum(w.round.buckets[1]))
    assert erased(w.round.buckets[0])


def erased(bucket: BucketServer) -> bool:
    return not (
        bucket._share_keys or bucket._unmasks or bucket._consistencies or bucket._accumulator.words.size
    )


def replace_share_keys(w: Wire, i: int, data: bytes) -> None:
    bucket = w.bucket_of(i)
    bucket._share_keys[place(w, i)] = ShareKeys.from_bytes(data)


@pytest.mark.parametrize(("kind", "reason"), [(SelfShare, "bad_shares"), (EscrowShare, "bad_escrow")])
def test_row_9_many_wrong_shares_drop_their_bucket_only(kind: Any, reason: str) -> None:
    w, first = two_buckets()
    w.gone = {"masked_input": [first[9]]}
    for step in w.STEPS[2:]:
        getattr(w, step)()
    for i in first[:6]:
        bucket = w.bucket_of(i)
        lie = malicious.lying_shares(w.sent["unmask"][i], i, kind)
        bucket._unmasks[place(w, i)] = Unmask.from_bytes(lie)
    assert_only_the_first_bucket_failed(w, w.round.release(), AbortReason(reason))


@pytest.mark.parametrize("liars", [1, 2])
def test_row_9_two_wrong_shares_are_worked_around_and_their_senders_named(liars: int) -> None:
    w, first = two_buckets()
    for step in w.STEPS[2:]:
        getattr(w, step)()
    for i in first[:liars]:
        lie = malicious.lying_shares(w.sent["unmask"][i], i, SelfShare)
        w.bucket_of(i)._unmasks[place(w, i)] = Unmask.from_bytes(lie)
    result = w.round.release()
    assert not result.failed
    assert set(result.sums[0].bad_shares) <= {place(w, i) for i in first[:liars]}
    np.testing.assert_array_equal(result.sums[0].sum, w.plain_sum(w.round.buckets[0]))


def test_row_9_an_escrow_box_that_does_not_open_names_its_owner() -> None:
    w, first = two_buckets()
    w.share_keys()
    liar = first[0]
    replace_share_keys(w, liar, malicious.lying_box(w.sent["share_keys"][liar], liar))
    w.gone = {"masked_input": [liar]}
    result = finish(w, after="share_keys")
    assert_only_the_first_bucket_failed(w, result, AbortReason.BAD_ESCROW)
    assert result.failed[0].culprits == (place(w, liar),)


def test_row_9_a_commitment_to_another_seed_names_its_owner() -> None:
    w, first = two_buckets()
    w.share_keys()
    liar = first[0]
    replace_share_keys(w, liar, malicious.lying_commitment(w.sent["share_keys"][liar], liar))
    result = finish(w, after="share_keys")
    assert_only_the_first_bucket_failed(w, result, AbortReason.BAD_SHARES)
    assert result.failed[0].culprits == (place(w, liar),)


def test_row_9_shares_that_open_for_nobody_drop_their_bucket_only() -> None:
    w, first = two_buckets()
    w.share_keys()
    liar = first[0]
    lie = malicious.lying_ciphertexts(w.sent["share_keys"][liar], liar, set(range(10)))
    replace_share_keys(w, liar, lie)
    assert_only_the_first_bucket_failed(w, finish(w, after="share_keys"), AbortReason.TOO_FEW_UNMASK)


def test_row_9_shares_that_do_not_open_for_one_victim_do_not_stop_the_victim() -> None:
    w, first = two_buckets()
    w.share_keys()
    liar = first[0]
    lie = malicious.lying_ciphertexts(w.sent["share_keys"][liar], liar, {place(w, first[1])})
    replace_share_keys(w, liar, lie)
    result = finish(w, after="share_keys")
    assert not result.failed
    np.testing.assert_array_equal(result.sums[0].sum, w.plain_sum(w.round.buckets[0]))


def test_row_9_a_vector_that_is_not_what_it_claims_shows_in_the_checksum() -> None:
    w, first = two_buckets()
    for step in w.STEPS[2:4]:
        getattr(w, step)()
    honest = w.bucket_of(first[0]).receive_masked

    def receive(data: bytes, *, sender: bytes) -> None:
        liar = first[0]
        honest(malicious.lying_vector(data, liar) if sender == w.keys[liar] else data, sender=sender)

    w.bucket_of(first[0]).receive_masked = receive  # type: ignore[method-assign,assignment]
    assert_only_the_first_bucket_failed(w, finish(w, after="close_shares"), AbortReason.WRONG_CHECKSUM)


def test_row_9_a_wallet_cannot_speak_for_another() -> None:
    w = small().until("advertise")
    refused(
        lambda: w.round.receive_advertise(w.sent["advertise"][1], now=NOW, sender=w.keys[0]),
        Fault.WRONG_SENDER,
    )
    forged = Advertise.sign(job_key(0), header=w.head.hash(), sender=w.keys[1], public_key=Entropy("x")(32))
    refused(lambda: w.round.receive_advertise(forged.to_bytes(), now=NOW), Fault.BAD_SIGNATURE)


def test_row_9_an_expired_or_unenrolled_wallet_is_not_heard() -> None:
    w = small()
    late = w.clients[0].advertise()
    refused(lambda: w.round.receive_advertise(late, now=EXPIRES), Fault.EXPIRED)
    stranger = Advertise.sign(
        job_key(50), header=w.head.hash(), sender=signing.public_key(job_key(50)), public_key=Entropy("x")(32)
    )
    refused(lambda: w.round.receive_advertise(stranger.to_bytes(), now=NOW), Fault.NOT_ENROLLED)
