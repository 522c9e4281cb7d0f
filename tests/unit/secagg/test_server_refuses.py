"""Oracles 6 and 8 at the server: what wallets may not send, whose share was wrong, and a crash between any two messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields as fields_of
from typing import Any

import numpy as np
import pytest

from aggregation.secagg.errors import (
    Abort,
    AbortReason,
    Fault,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
)
from aggregation.secagg.messages import (
    Advertise,
    Enrolment,
    EscrowShare,
    ListsRequest,
    PayoutOpening,
    PresenceReceipt,
    SelfShare,
    ShareKeys,
    Survivors,
    SurvivorsRequest,
    Unmask,
)
from aggregation.secagg.phases import BucketPhase, RoundPhase
from aggregation.secagg.server import (
    BucketServer,
    MemberLog,
    accept_advertise,
    accept_enrolment,
    accept_receipt,
    assign_buckets,
    bundle_for,
    check_survivors,
    enough_to_unmask,
)
from aggregation.wire import signing
from tests.unit.secagg.pair import (
    COLLECTIVE,
    EXPIRES,
    JOB,
    MANIFEST,
    NOW,
    Entropy,
    Wire,
    distributor,
    enrolment,
    header,
    job_key,
    member_log,
)
from tests.unit.secagg.tamper import changed

N = 6


def wire(until: str | None = None, **fields: Any) -> Wire:
    made = Wire(header(**{"bucket_size": N, **fields}), N)
    return made.until(until) if until else made


def refused(call: Callable[[], object], fault: Fault) -> None:
    with pytest.raises(ProtocolError) as caught:
        call()
    assert caught.value.reason is fault, caught.value
    assert caught.value.code == fault.value


def resigned(message: Any, private: Any, **fields: Any) -> bytes:
    """The same message with other fields, properly signed."""
    values = {f.name: getattr(message, f.name) for f in fields_of(message) if f.name != "signature"}
    return type(message).sign(private, **{**values, **fields}).to_bytes()


# Enrolment and receipts


def test_enrolments_are_checked() -> None:
    expected = {"job": JOB, "collective": COLLECTIVE, "manifest_hash": MANIFEST, "now": NOW}
    data = enrolment(0).to_bytes()
    assert accept_enrolment(data, **expected) == enrolment(0)
    refused(lambda: accept_enrolment(data, **{**expected, "manifest_hash": bytes(32)}), Fault.WRONG_ENROLMENT)
    refused(lambda: accept_enrolment(data, **{**expected, "now": EXPIRES}), Fault.EXPIRED)
    refused(lambda: accept_enrolment(changed(data, expires=EXPIRES + 1), **expected), Fault.BAD_SIGNATURE)
    other = signing.public_key(job_key(3))
    refused(lambda: accept_enrolment(changed(data, subscription_key=other), **expected), Fault.BAD_SIGNATURE)
    refused(lambda: accept_enrolment(changed(data, subscription_key=bytes(32)), **expected), Fault.BAD_KEY)
    refused(lambda: accept_enrolment(changed(data, job_key=bytes(32)), **expected), Fault.MALFORMED)


def test_a_log_holds_one_job_and_each_key_once() -> None:
    refused(lambda: MemberLog(job=JOB, enrolments=[enrolment(0), enrolment(0)]), Fault.DUPLICATE)
    refused(lambda: MemberLog(job=bytes(16), enrolments=[enrolment(0)]), Fault.WRONG_ENROLMENT)
    log = member_log(8)
    assert log.entry(enrolment(3).job_key).subscription_key == enrolment(3).subscription_key
    refused(lambda: log.entry(bytes(32)), Fault.NOT_ENROLLED)


def test_receipts_are_checked() -> None:
    head = header()
    subscription = signing.generate(Entropy(("subscription", 0)))
    receipt = PresenceReceipt.sign(
        subscription,
        job=JOB,
        round=1,
        collective=COLLECTIVE,
        requirement_hash=bytes(32),
        data_commitment=b"\x01" * 32,
        header_hash=head.hash(),
        job_key=enrolment(0).job_key,
        ticket=bytes(16),
    )
    expected = {"job_key": enrolment(0).job_key, "collective": COLLECTIVE, "requirement_hash": bytes(32)}
    assert (
        accept_receipt(head, receipt.to_bytes(), **expected).subscription_key == enrolment(0).subscription_key
    )
    data = receipt.to_bytes()
    refused(lambda: accept_receipt(header(round=2), data, **expected), Fault.WRONG_RECEIPT)
    refused(lambda: accept_receipt(head, data, **{**expected, "job_key": bytes(32)}), Fault.WRONG_SENDER)
    refused(lambda: accept_receipt(head, changed(data, ticket=b"\x01" * 16), **expected), Fault.BAD_SIGNATURE)


def test_payout_openings_verify_and_hide_the_address() -> None:
    opening = PayoutOpening.sign(
        job_key(0), address=b"\xaa" * 20, salt=b"\xbb" * 32, agreement_hash=bytes(32)
    )
    PayoutOpening.from_bytes(opening.to_bytes()).verify()
    assert "aaaa" not in repr(opening)
    assert "\\xaa" not in repr(opening)
    with pytest.raises(RemoteProtocolError):
        PayoutOpening.from_bytes(changed(opening.to_bytes(), address=bytes(20))).verify()


# AdvertiseKeys


def test_advertises_are_checked() -> None:
    w = wire("advertise")
    data = w.sent["advertise"][0]
    log = member_log(8)

    def accept(message: bytes, **options: Any) -> Advertise:
        return accept_advertise(w.head, message, **{"log": log, "now": NOW, **options})

    assert accept(data, sender=w.keys[0]).sender == w.keys[0]
    refused(lambda: accept(data, sender=w.keys[1]), Fault.WRONG_SENDER)
    refused(lambda: accept(data, now=EXPIRES), Fault.EXPIRED)
    refused(lambda: accept(changed(data, public_key=b"\x02" * 32)), Fault.BAD_SIGNATURE)
    message = Advertise.from_bytes(data)
    refused(lambda: accept(resigned(message, job_key(0), public_key=bytes(32))), Fault.BAD_KEY)
    refused(lambda: accept(resigned(message, job_key(0), header=bytes(32))), Fault.WRONG_ROUND)
    stranger = signing.public_key(job_key(99))
    refused(lambda: accept(resigned(message, job_key(99), sender=stranger)), Fault.NOT_ENROLLED)
    refused(lambda: accept(b"\x00"), Fault.MALFORMED)
    assert accept(changed(data, signature=bytes(64)), trusted=True).sender == w.keys[0]


def test_the_same_advertise_again_changes_nothing_and_another_is_refused() -> None:
    w = wire("advertise")
    w.round.receive_advertise(w.sent["advertise"][0], now=NOW)
    other = Advertise.sign(job_key(0), header=w.head.hash(), sender=w.keys[0], public_key=b"\x09" * 32)
    refused(lambda: w.round.receive_advertise(other.to_bytes(), now=NOW), Fault.DUPLICATE)
    assert len(w.round._advertises) == N


def test_a_roster_is_one_per_wallet_of_one_log_and_signed() -> None:
    w = wire("advertise")
    messages = list(w.round._advertises.values())
    options: dict[str, Any] = {"log": member_log(8), "randomness": bytes(32)}
    refused(lambda: assign_buckets(w.head, [*messages, messages[0]], **options), Fault.DUPLICATE)
    refused(lambda: assign_buckets(w.head, messages, **{**options, "log": member_log(9)}), Fault.BAD_PROOF)
    roster = assign_buckets(w.head, messages, **options)
    assert roster.request() == assign_buckets(w.head, messages[::-1], **options).request()
    refused(lambda: roster.buckets, Fault.OUT_OF_ORDER)
    refused(lambda: roster.signed(bytes(64)), Fault.BAD_SIGNATURE)
    signed = roster.signed(roster.lists.sign(distributor()))
    bucket, position = signed.locate(w.keys[0])
    assert bucket.members[position].job_key == w.keys[0]
    refused(lambda: signed.locate(bytes(32)), Fault.STRANGER)
    refused(lambda: bucket.position(bytes(32)), Fault.STRANGER)


def test_locating_before_there_are_buckets_is_out_of_order() -> None:
    w = wire("advertise")
    refused(lambda: w.round.locate(w.keys[0]), Fault.OUT_OF_ORDER)
    w.round.close_advertise()
    refused(lambda: w.round.locate(w.keys[0]), Fault.OUT_OF_ORDER)
    refused(lambda: w.round.lists_signed(bytes(64)), Fault.BAD_SIGNATURE)
    assert w.round.phase is RoundPhase.LISTS, "a wrong signature changes nothing"


# ShareKeys to Unmasking


def test_share_keys_are_checked() -> None:
    w = wire("sign_lists")
    data = w.clients[0].receive_list(w.lists[w.keys[0]], now=NOW)
    bucket, message = w.bucket_of(0), ShareKeys.from_bytes(data)
    receive = bucket.receive_share_keys
    refused(lambda: receive(data, sender=w.keys[1]), Fault.WRONG_SENDER)
    refused(lambda: receive(changed(data, escrow=b"\x00" * len(message.escrow))), Fault.BAD_SIGNATURE)
    for fields, fault in (
        ({"header": bytes(32)}, Fault.WRONG_ROUND),
        ({"lists_root": bytes(32)}, Fault.WRONG_LIST),
        ({"shares": message.shares[:-1]}, Fault.WRONG_SHARES),
        ({"escrow": message.escrow[:-1]}, Fault.WRONG_SHARES),
    ):
        refused(lambda f=fields: receive(resigned(message, job_key(0), **f)), fault)
    stranger = resigned(message, job_key(50), sender=signing.public_key(job_key(50)))
    refused(lambda: receive(stranger), Fault.STRANGER)
    receive(data)
    receive(data)
    refused(lambda: receive(resigned(message, job_key(0), commitment=bytes(32))), Fault.DUPLICATE)


def test_masked_inputs_are_checked_and_added_once() -> None:
    w = wire("close_shares")
    w.clients[0].receive_shares(w.bundles[w.keys[0]])
    data = w.clients[0].mask([1] * 5)
    bucket = w.bucket_of(0)
    refused(lambda: bucket.receive_masked(data, sender=w.keys[1]), Fault.WRONG_SENDER)
    refused(lambda: bucket.receive_masked(changed(data, y=bytes(28))), Fault.BAD_SIGNATURE)
    refused(lambda: bucket.receive_masked(changed(data, y=bytes(24))), Fault.WRONG_SIZE)
    refused(lambda: bucket.receive_masked(changed(data, header=bytes(32))), Fault.WRONG_ROUND)
    bucket.receive_masked(changed(data, signature=bytes(64)), trusted=True)
    fresh = BucketServer.restore(
        bucket.bucket, share_keys=w.sent["share_keys"].values(), joined=bucket.joined
    )
    assert fresh.accumulator != bucket.accumulator
    bucket = fresh
    bucket.receive_masked(data)
    once = bucket.accumulator
    bucket.receive_masked(data)
    assert bucket.accumulator == once
    assert bucket.included == (bucket.bucket.position(w.keys[0]),)


def test_a_wallet_that_did_not_join_gets_no_bundle_and_adds_nothing() -> None:
    w = Wire(header(bucket_size=N), N, gone={"share_keys": [0]}).until("close_shares")
    bucket = w.bucket_of(0)
    position = bucket.bucket.position(w.keys[0])
    refused(lambda: bundle_for(bucket.bucket, bucket._share_keys, bucket.joined, position), Fault.STRANGER)
    from aggregation.secagg.messages import MaskedInput

    data = MaskedInput.sign(job_key(0), header=w.head.hash(), sender=w.keys[0], y=bytes(28)).to_bytes()
    refused(lambda: bucket.receive_masked(data), Fault.STRANGER)
    refused(lambda: check_survivors(bucket.bucket, bucket.joined, range(N)), Fault.NOT_A_SUBSET)


def test_agreements_are_checked() -> None:
    w = wire("sign_survivors")
    data = w.clients[0].receive_survivors(w.survivors[0])
    bucket = w.bucket_of(0)
    receive = bucket.receive_consistency
    refused(lambda: receive(changed(data, survivors=bytes(32))), Fault.WRONG_LIST)
    refused(lambda: receive(changed(data, signature=bytes(64))), Fault.BAD_SIGNATURE)
    refused(lambda: receive(changed(data, header=bytes(32))), Fault.WRONG_ROUND)
    refused(lambda: receive(data, sender=w.keys[1]), Fault.WRONG_SENDER)
    receive(data)
    receive(data)
    w.gone = {"consistency": [0]}


def test_answers_are_checked() -> None:
    w = Wire(header(bucket_size=8), 8, gone={"masked_input": [7], "unmask": [0]}).until("unmask")
    w.silent.clear()
    data = w.clients[0].receive_consistency(w.agreements[w.keys[0]])
    bucket = w.bucket_of(0)
    message, receive = Unmask.from_bytes(data), bucket.receive_unmask
    survivor = next(s for s in message.shares if isinstance(s, SelfShare))
    lost = next(s for s in message.shares if isinstance(s, EscrowShare))
    me = bucket.bucket.position(w.keys[0])
    for shares, fault in (
        ((EscrowShare(owner=survivor.owner, share=survivor.share),), Fault.WRONG_SHARES),
        ((SelfShare(owner=lost.owner, share=lost.share),), Fault.WRONG_SHARES),
        ((SelfShare(owner=me, share=bytes(16)),), Fault.STRANGER),
    ):
        refused(lambda s=shares: receive(resigned(message, job_key(0), shares=s)), fault)
    refused(lambda: receive(changed(data, signature=bytes(64))), Fault.BAD_SIGNATURE)
    outsider = resigned(message, job_key(7), sender=w.keys[7])
    refused(lambda: receive(outsider), Fault.STRANGER)
    receive(data)
    receive(data)
    assert w.round.release().count == 7


def test_messages_out_of_phase_are_refused_without_harm() -> None:
    w = wire("masked_input")
    bucket = w.bucket_of(0)
    refused(lambda: bucket.receive_share_keys(w.sent["share_keys"][0]), Fault.OUT_OF_ORDER)
    refused(lambda: bucket.receive_consistency(b""), Fault.OUT_OF_ORDER)
    refused(lambda: bucket.receive_unmask(b""), Fault.OUT_OF_ORDER)
    refused(bucket.finish, Fault.OUT_OF_ORDER)
    refused(w.round.release, Fault.OUT_OF_ORDER)
    refused(lambda: w.round.receive_advertise(w.sent["advertise"][0], now=NOW), Fault.OUT_OF_ORDER)
    assert bucket.phase is BucketPhase.MASKED_INPUT


def test_survivors_of_another_list_are_not_this_buckets() -> None:
    w = wire("masked_input")
    w.round.close_inputs()
    statement = w.round._statement
    assert statement is not None
    refused(lambda: statement.for_bucket(0), Fault.OUT_OF_ORDER)
    refused(lambda: w.round.survivors_signed(bytes(64)), Fault.BAD_SIGNATURE)
    signed = statement.signed(statement.body.sign(distributor()))
    fewer = changed(signed.for_bucket(0).to_bytes(), positions=lambda old: old[:-1])
    bucket = w.bucket_of(0)
    refused(lambda: bucket.survivors_signed(Survivors.from_bytes(fewer)), Fault.WRONG_LIST)


def test_signing_requests_name_their_round_and_what_is_kept_of_them() -> None:
    w = wire("advertise")
    lists = ListsRequest.from_bytes(w.round.close_advertise())
    assert lists.header_hash == w.head.hash()
    w.lists = w.round.lists_signed(lists.sign(distributor()))
    for step in w.STEPS[2:5]:
        getattr(w, step)()
    survivors = SurvivorsRequest.from_bytes(w.round.close_inputs())
    assert survivors.header_hash == w.head.hash()
    assert survivors.lists_root == lists.lists_root()
    w.survivors = w.round.survivors_signed(survivors.sign(distributor()))
    assert survivors.digest() == Survivors.from_bytes(w.survivors[0]).digest()
    assert survivors.digest() != lists.digest()


def test_an_aborted_round_aborts_its_buckets() -> None:
    w = wire("masked_input")
    w.round.abort(Abort(AbortReason.TOO_FEW_MEMBERS))
    assert w.round.phase is RoundPhase.ABORTED
    assert w.bucket_of(0).phase is BucketPhase.ABORTED
    refused(lambda: w.round.abort(Abort(AbortReason.TOO_FEW_MEMBERS)), Fault.OUT_OF_ORDER)


# Wrong shares and boxes


def spoilt(w: Wire, i: int, kind: type[SelfShare] | type[EscrowShare]) -> None:
    """Wallet i sends garbage for every share of a kind, properly signed."""
    bucket = w.bucket_of(i)
    message = bucket._unmasks[bucket.bucket.position(w.keys[i])]
    shares = tuple(
        kind(owner=s.owner, share=b"\xee" * 16) if isinstance(s, kind) else s for s in message.shares
    )
    bucket._unmasks[bucket.bucket.position(w.keys[i])] = Unmask.from_bytes(
        resigned(message, job_key(i), shares=shares)
    )


@pytest.mark.parametrize("kind", [SelfShare, EscrowShare])
@pytest.mark.parametrize("liars", [[0], [0, 5]])
def test_wrong_shares_are_worked_around_and_their_senders_named(
    kind: type[SelfShare] | type[EscrowShare], liars: list[int]
) -> None:
    w = Wire(header(bucket_size=12, log_members=12), 12, gone={"masked_input": [11]}).until("unmask")
    bucket = w.bucket_of(0)
    for i in liars:
        spoilt(w, i, kind)
    result = w.round.release()
    np.testing.assert_array_equal(result.sums[0].sum, w.plain_sum(bucket))
    named = set(result.sums[0].bad_shares)
    assert named <= {bucket.bucket.position(w.keys[i]) for i in liars}
    if kind is SelfShare and len(liars) == 1:
        first = bucket.bucket.position(w.keys[0])
        assert named == {first} or first >= bucket.bucket.threshold


@pytest.mark.parametrize(("kind", "reason"), [(SelfShare, "bad_shares"), (EscrowShare, "bad_escrow")])
def test_too_many_wrong_shares_drop_the_bucket_and_name_the_owner(
    kind: type[SelfShare] | type[EscrowShare], reason: str
) -> None:
    w = Wire(header(bucket_size=8, log_members=8), 8, gone={"masked_input": [7]}).until("unmask")
    for i in range(5):
        spoilt(w, i, kind)
    bucket = w.bucket_of(0)
    with pytest.raises(Abort) as caught:
        bucket.finish()
    assert caught.value.reason.value == reason
    assert len(caught.value.culprits) == 1
    assert bucket.phase is BucketPhase.ABORTED
    assert not bucket._share_keys


def test_an_escrow_box_with_too_few_seeds_is_a_bad_box() -> None:
    from aggregation.secagg import masking
    from aggregation.wire.secret import Secret

    kappa, salt = Secret(b"k" * 16), bytes(32)
    box = masking.seal_escrow(kappa, [b"s" * 16] * 3, owner=b"o" * 32, salt=salt)
    opened = masking.open_escrow(b"k" * 16, box, owner=b"o" * 32, salt=salt, seeds=3)
    assert opened == [b"s" * 16] * 3
    assert masking.open_escrow(b"k" * 16, box, owner=b"o" * 32, salt=salt, seeds=4) is None
    assert masking.open_escrow(b"k" * 16, box, owner=b"p" * 32, salt=salt, seeds=3) is None


def test_a_vector_that_is_not_what_it_claims_drops_its_bucket_only() -> None:
    w = Wire(header(log=member_log(20), bucket_size=10, release_min=5), 20).until("masked_input")
    w.round.buckets[0]._accumulator.words[0] += 1
    for step in w.STEPS[5:]:
        getattr(w, step)()
    result = w.round.release()
    assert {i: a.reason for i, a in result.failed.items()} == {0: AbortReason.WRONG_CHECKSUM}
    np.testing.assert_array_equal(result.sums[1].sum, w.plain_sum(w.round.buckets[1]))


def test_a_vector_added_twice_shows_in_the_count() -> None:
    w = wire("masked_input")
    bucket = w.bucket_of(0)
    bucket._accumulator.words[-2] += 1
    for step in w.STEPS[5:]:
        getattr(w, step)()
    with pytest.raises(Abort) as caught:
        bucket.finish()
    assert caught.value.reason is AbortReason.WRONG_COUNT


# A crash between any two phases


@pytest.mark.parametrize("crash_after", Wire.STEPS[2:])
def test_a_bucket_restored_from_stored_messages_goes_on_to_the_same_sum(crash_after: str) -> None:
    w = Wire(header(bucket_size=8, log_members=8), 8, gone={"masked_input": [3], "unmask": [4]})
    for step in w.STEPS:
        getattr(w, step)()
        if step == crash_after:
            before = w.round.buckets[0]
            after = restored(w, before)
            assert after.phase is before.phase
            assert after.included == before.included
            w.round.buckets = (after,)
    result = w.round.release()
    assert result.count == 7
    np.testing.assert_array_equal(result.sums[0].sum, w.plain_sum(w.round.buckets[0]))


def restored(w: Wire, before: BucketServer) -> BucketServer:
    reached = before.phase
    order = list(BucketPhase)
    return BucketServer.restore(
        before.bucket,
        share_keys=w.sent["share_keys"].values(),
        joined=before.joined if reached is not BucketPhase.SHARE_KEYS else None,
        included=before.included,
        accumulator=before.accumulator if before.included else b"",
        closed_inputs=order.index(reached) >= order.index(BucketPhase.WAITING),
        survivors=before._survivors,
        consistencies=w.sent.get("consistency", {}).values(),
        closed_consistency=reached is BucketPhase.UNMASK,
        unmasks=w.sent.get("unmask", {}).values(),
    )


def test_an_input_in_a_restored_sum_is_not_added_again() -> None:
    w = wire("masked_input")
    before = w.round.buckets[0]
    after = restored(w, before)
    refused(lambda: after.receive_masked(w.sent["masked_input"][0]), Fault.DUPLICATE)
    assert after.accumulator == before.accumulator


def test_the_phase_may_close_early_once_every_secret_has_its_shares() -> None:
    w = Wire(header(bucket_size=8), 8, gone={"masked_input": [3]}).until("unmask")
    bucket = w.bucket_of(0)
    survivors, joined = bucket._signed_survivors(), bucket.joined
    everyone = list(bucket.included)
    assert enough_to_unmask(bucket.bucket, joined, survivors, everyone)
    assert enough_to_unmask(bucket.bucket, joined, survivors, everyone[:6])
    assert not enough_to_unmask(bucket.bucket, joined, survivors, everyone[:5])


def test_local_mistakes_are_local_errors() -> None:
    with pytest.raises(LocalProtocolError):
        Enrolment.sign(
            job_key(0), job=b"", collective=COLLECTIVE, manifest_hash=MANIFEST, job_key=bytes(32), expires=1
        )
