"""Oracles 5, 6 and 7 at the wallet, case by case against a scripted malicious server; `test_attacks` is the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aggregation.secagg.client import SecAggClient
from aggregation.secagg.errors import Fault, LocalProtocolError, RemoteProtocolError
from aggregation.secagg.messages import (
    AdvertiseList,
    Consistency,
    EscrowShare,
    ListsRequest,
    SelfShare,
    ShareBundle,
    Survivors,
    Unmask,
)
from aggregation.secagg.phases import WALLET, WalletEvent, WalletPhase
from aggregation.wire import signing
from tests.unit.secagg.malicious import assert_erased, refused, signed_list, signed_survivors
from tests.unit.secagg.pair import (
    EXPIRES,
    NOW,
    Entropy,
    Notes,
    Wire,
    client,
    header,
    job_key,
    member_log,
)
from tests.unit.secagg.tamper import changed, flipped

N = 6


def wire(until: str | None = None, **fields: Any) -> Wire:
    made = Wire(header(bucket_size=N, bucket_min=4, release_min=4, **fields), N, verify_sample=None)
    return made.until(until) if until else made


# Keys and lists: oracle 8


def substituted_key(w: Wire) -> bytes:
    own = signed_list(w)
    position = next(i for i, m in enumerate(AdvertiseList.from_bytes(own).members) if m.job_key != w.keys[0])

    def change(rows: list[list[Any]]) -> None:
        rows[position][1] = Entropy("mallory")(32)

    return signed_list(w, change)


def foreign_member(w: Wire) -> bytes:
    def change(rows: list[list[Any]]) -> None:
        victim = next(row for row in rows if row[0] != w.keys[0])
        victim[0] = signing.public_key(job_key(77))

    return signed_list(w, change)


def other_expiry(w: Wire) -> bytes:
    def change(rows: list[list[Any]]) -> None:
        next(row for row in rows if row[0] != w.keys[0])[3] += 1

    return signed_list(w, change)


LISTS: dict[str, tuple[Callable[[Wire], bytes], Fault]] = {
    "unsigned change": (lambda w: changed(w.lists[w.keys[0]], randomness=bytes(32)), Fault.BAD_SIGNATURE),
    "another distributor": (lambda w: signed_list(w, key=job_key(9)), Fault.BAD_SIGNATURE),
    "a bucket that was not signed": (
        lambda w: changed(w.lists[w.keys[0]], members=lambda old: old[::-1]),
        Fault.WRONG_LIST,
    ),
    "another header": (lambda w: changed(w.lists[w.keys[0]], header=bytes(32)), Fault.WRONG_ROUND),
    "a man in the middle's round key": (substituted_key, Fault.BAD_SIGNATURE),
    "a job key outside the log": (foreign_member, Fault.BAD_PROOF),
    "an expiry other than the enrolled one": (other_expiry, Fault.BAD_PROOF),
    "a neighbour without evidence": (
        lambda w: changed(w.lists[w.keys[0]], evidence=lambda old: old[:-2]),
        Fault.BAD_PROOF,
    ),
    "our own key replaced": (
        lambda w: signed_list(
            w, lambda rows: [r.__setitem__(1, bytes(32)) for r in rows if r[0] == w.keys[0]]
        ),  # type: ignore[func-returns-value]
        Fault.NOT_LISTED,
    ),
    "a list without us": (
        lambda w: signed_list(w, lambda rows: rows.__delitem__([r[0] for r in rows].index(w.keys[0]))),
        Fault.NOT_LISTED,
    ),
    "too few members": (
        lambda w: signed_list(w, lambda rows: [rows.remove(r) for r in list(rows) if r[0] != w.keys[0]][:0]),  # type: ignore[func-returns-value]
        Fault.TOO_FEW_MEMBERS,
    ),
}


@pytest.mark.parametrize("name", LISTS)
def test_it_refuses_a_list(name: str) -> None:
    make, fault = LISTS[name]
    w = wire("sign_lists")
    refused(lambda: w.clients[0].receive_list(make(w), now=NOW), fault, w.clients[0])


def test_it_refuses_expired_job_keys() -> None:
    w = wire("sign_lists")
    refused(lambda: w.clients[0].receive_list(w.lists[w.keys[0]], now=EXPIRES), Fault.EXPIRED, w.clients[0])


def test_it_refuses_a_neighbour_key_without_a_secret() -> None:
    """A low-order key with the distributor's signature and, sampled out, without its own: still no key comes of it."""
    w = wire("advertise")
    victim = client(w.head, 0, verify_sample=0)
    victim.advertise()
    w.clients[0] = victim
    w.round._advertises[w.keys[0]] = type(w.round._advertises[w.keys[0]]).from_bytes(
        client(w.head, 0, verify_sample=0).advertise()
    )
    w.sign_lists()

    def change(rows: list[list[Any]]) -> None:
        next(row for row in rows if row[0] != w.keys[0])[1] = bytes(32)

    refused(lambda: victim.receive_list(signed_list(w, change), now=NOW), Fault.BAD_KEY, victim)


def test_it_refuses_a_bucket_larger_than_the_header_allows() -> None:
    w = wire("sign_lists")

    def change(rows: list[list[Any]]) -> None:
        rows.extend([signing.public_key(job_key(50 + i)), Entropy(i)(32), 50 + i, EXPIRES] for i in range(20))

    refused(lambda: w.clients[0].receive_list(signed_list(w, change), now=NOW), Fault.OUT_OF_RANGE)


def test_eight_checks_picked_by_the_wallet_catch_many_forged_members() -> None:
    """Half of 16 members forged: 8 picks of 15 miss all of them with probability below 0.1 %."""
    head = header(log=member_log(16), bucket_size=16)
    caught = 0
    for seed in range(20):
        w = Wire(head, 16, seed=seed).until("sign_lists")

        def change(rows: list[list[Any]], w: Wire = w) -> None:
            for row in [row for row in rows if row[0] != w.keys[0]][:8]:
                row[1] = Entropy(row[1])(32)

        with pytest.raises(RemoteProtocolError) as error:
            w.clients[0].receive_list(signed_list(w, change), now=NOW)
        caught += error.value.reason is Fault.BAD_SIGNATURE
    assert caught == 20


# Shares


def test_it_needs_shares_of_exactly_the_joined_neighbours() -> None:
    bundle = lambda w: w.bundles[w.keys[0]]  # noqa: E731
    own = lambda w: w.clients[0]._position  # noqa: E731
    cases: list[tuple[Callable[[Wire], bytes], Fault]] = [
        (lambda w: changed(bundle(w), header=bytes(32)), Fault.WRONG_ROUND),
        (lambda w: changed(bundle(w), bucket=1), Fault.WRONG_ROUND),
        (lambda w: changed(bundle(w), shares=lambda old: old[:-1]), Fault.WRONG_SHARES),
        (lambda w: changed(bundle(w), joined=lambda old: [p for p in old if p != own(w)]), Fault.STRANGER),
        (lambda w: changed(bundle(w), joined=lambda old: [*old, 6]), Fault.STRANGER),
        (lambda w: changed(bundle(w), joined=[own(w)], shares=[]), Fault.TOO_FEW_MEMBERS),
        (lambda w: changed(bundle(w), joined=[], shares=[]), Fault.STRANGER),
        (
            lambda w: changed(bundle(w), shares=lambda old: [[p, flipped(c)] for p, c in old]),
            Fault.TOO_FEW_SHARES,
        ),
    ]
    for make, fault in cases:
        w = wire("close_shares")
        refused(lambda: w.clients[0].receive_shares(make(w)), fault, w.clients[0])  # noqa: B023


def test_it_needs_a_threshold_of_joined_neighbours() -> None:
    w = Wire(header(bucket_size=8, log_members=8, bucket_min=3, release_min=3), 8).until("close_shares")
    own = w.clients[0]._position
    kept = sorted({own, (own + 1) % 8, (own + 2) % 8})
    data = changed(
        w.bundles[w.keys[0]], joined=kept, shares=lambda old: [row for row in old if row[0] in kept]
    )
    refused(lambda: w.clients[0].receive_shares(data), Fault.TOO_FEW_SHARES, w.clients[0])


def test_one_share_that_does_not_open_does_not_stop_it() -> None:
    w = wire("close_shares")
    w.bundles[w.keys[0]] = changed(
        w.bundles[w.keys[0]], shares=lambda old: [[old[0][0], flipped(old[0][1])], *old[1:]]
    )
    for step in w.STEPS[4:]:
        getattr(w, step)()
    result = w.round.release()
    assert result.count == N
    assert len(Unmask.from_bytes(w.sent["unmask"][0]).shares) == N - 2


# Survivors and agreement: equivocation


SURVIVORS: dict[str, tuple[Callable[[Wire], bytes], Fault]] = {
    "without us": (lambda w: signed_survivors(w, *others(w)), Fault.NOT_A_SURVIVOR),
    "below bucket_min": (lambda w: signed_survivors(w, *some(w, 3), total=10), Fault.BELOW_BUCKET_MIN),
    "below release_min": (
        lambda w: signed_survivors(w, *range(N), total=N),
        Fault.BELOW_RELEASE_MIN,
    ),
    "someone who never joined": (lambda w: signed_survivors(w, *range(N), 6), Fault.NOT_A_SUBSET),
    "not signed": (
        lambda w: changed(signed_survivors(w, *range(N)), signature=bytes(64)),
        Fault.BAD_SIGNATURE,
    ),
    "other positions than the signed ones": (
        lambda w: changed(signed_survivors(w, *range(N)), positions=lambda old: old[:-1]),
        Fault.WRONG_LIST,
    ),
    "a total that was not signed": (
        lambda w: changed(signed_survivors(w, *range(N)), total=N + 5),
        Fault.BAD_SIGNATURE,
    ),
    "of other lists": (lambda w: signed_survivors(w, *range(N), lists_root=bytes(32)), Fault.WRONG_LIST),
    "of another round": (lambda w: signed_survivors(w, *range(N), header=bytes(32)), Fault.WRONG_ROUND),
}


def others(w: Wire) -> list[int]:
    return [p for p in range(N) if p != w.clients[0]._position]


def some(w: Wire, count: int) -> list[int]:
    return sorted([w.clients[0]._position, *others(w)[: count - 1]])


@pytest.mark.parametrize("name", SURVIVORS)
def test_it_refuses_survivors(name: str) -> None:
    make, fault = SURVIVORS[name]
    w = wire("masked_input")
    if fault is Fault.BELOW_RELEASE_MIN:
        object.__setattr__(w.clients[0].header, "release_min", N + 1)
    refused(lambda: w.clients[0].receive_survivors(make(w)), fault, w.clients[0])


def test_it_refuses_to_reveal_when_too_few_neighbours_survived() -> None:
    w = Wire(header(bucket_size=8, log_members=8, bucket_min=3, release_min=3), 8).until("masked_input")
    own = w.clients[0]._position
    kept = sorted({own, (own + 1) % 8, (own + 2) % 8})
    refused(lambda: w.clients[0].receive_survivors(signed_survivors(w, *kept)), Fault.TOO_FEW_SHARES)


def agreements(w: Wire) -> bytes:
    return w.agreements[w.keys[0]]


AGREEMENTS: dict[str, tuple[Callable[[Wire], bytes], Fault]] = {
    "missing": (lambda w: changed(agreements(w), agreements=lambda old: old[:2]), Fault.TOO_FEW_AGREE),
    "forged": (
        lambda w: changed(agreements(w), agreements=lambda old: [[old[0][0], bytes(64)], *old[1:]]),
        Fault.BAD_SIGNATURE,
    ),
    "swapped between wallets": (
        lambda w: changed(
            agreements(w), agreements=lambda old: [[old[0][0], old[1][1]], [old[1][0], old[0][1]], *old[2:]]
        ),
        Fault.BAD_SIGNATURE,
    ),
    "about other survivors": (lambda w: changed(agreements(w), survivors=bytes(32)), Fault.WRONG_LIST),
    "of another bucket": (lambda w: changed(agreements(w), bucket=3), Fault.WRONG_ROUND),
    "of another round": (lambda w: changed(agreements(w), header=bytes(32)), Fault.WRONG_ROUND),
}


@pytest.mark.parametrize("name", AGREEMENTS)
def test_it_refuses_agreements(name: str) -> None:
    make, fault = AGREEMENTS[name]
    w = wire("close_consistency")
    refused(lambda: w.clients[0].receive_consistency(make(w)), fault, w.clients[0])
    assert not w.notes[0].noted, "nothing was revealed, so nothing is noted"


def test_two_survivor_lists_shown_to_two_halves_reveal_nothing() -> None:
    """Equivocation with the distributor's help: each half sees the signatures of the other on another list."""
    w = wire("masked_input")
    everyone, five = signed_survivors(w, *range(N)), signed_survivors(w, *range(N - 1))
    half = [i for i in range(N) if w.clients[i]._position < 3]
    answers = {
        i: w.clients[i].receive_survivors(everyone if i in half else five)
        for i in half + [i for i in range(N) if 3 <= w.clients[i]._position < 5]
    }
    victim = half[0]
    rows = sorted(
        [w.clients[i]._position, Consistency.from_bytes(data).signature]
        for i, data in answers.items()
        if i != victim
    )
    data = changed(w_set(w, everyone), agreements=rows)
    refused(lambda: w.clients[victim].receive_consistency(data), Fault.BAD_SIGNATURE, w.clients[victim])


def w_set(w: Wire, survivors: bytes) -> bytes:
    from aggregation.secagg.messages import ConsistencySet

    digest = Survivors.from_bytes(survivors).digest()
    return ConsistencySet(header=w.head.hash(), bucket=0, survivors=digest, agreements=()).to_bytes()


# Answers once


def test_it_gives_one_kind_of_share_per_peer_and_none_of_itself_or_strangers() -> None:
    w = Wire(header(bucket_size=8, log_members=8), 8, gone={"share_keys": [1], "masked_input": [2]}).until(
        "unmask"
    )
    for i, data in w.sent["unmask"].items():
        me, shares = w.clients[i]._position, Unmask.from_bytes(data).shares
        place = [m.job_key for m in w.round.buckets[0].bucket.members].index
        owners = [share.owner for share in shares]
        assert len(set(owners)) == len(owners) == 6
        assert me not in owners
        assert place(w.keys[1]) not in owners, "it never shared"
        kinds = {share.owner: type(share) for share in shares}
        assert kinds.pop(place(w.keys[2])) is EscrowShare
        assert set(kinds.values()) == {SelfShare}


def test_it_notes_before_it_answers_and_refuses_when_noted_before() -> None:
    w = wire("close_consistency")
    w.notes[0].noted.add((w.head.job, w.head.round))
    refused(lambda: w.clients[0].receive_consistency(agreements(w)), Fault.ALREADY_REVEALED, w.clients[0])


def test_it_does_not_answer_when_the_note_cannot_be_written() -> None:
    w = wire("close_consistency")

    def broken(job: bytes, round_: int) -> bool:
        raise OSError("disk full")

    w.clients[0]._note_revealed = broken
    with pytest.raises(OSError, match="disk full"):
        w.clients[0].receive_consistency(agreements(w))
    assert_erased(w.clients[0])


def test_a_second_answer_is_refused_even_after_a_crash() -> None:
    """The wallet is started again from the same entropy and led through the same round to the same point."""
    w = wire("unmask")
    assert_erased(w.clients[0])
    again = client(w.head, 0, notes=w.notes[0])
    again.advertise()
    again.receive_list(w.lists[w.keys[0]], now=NOW)
    again.receive_shares(w.bundles[w.keys[0]])
    again.mask([1] * 5)
    again.receive_survivors(w.survivors[0])
    refused(lambda: again.receive_consistency(agreements(w)), Fault.ALREADY_REVEALED, again)


def test_another_round_or_job_may_be_answered() -> None:
    notes = Notes()
    for changes in ({}, {"round": 2}):
        w = wire(**changes)
        w.notes[0] = notes
        w.clients[0] = client(w.head, 0, notes=notes)
        w.until("unmask")
        assert 0 in w.sent["unmask"]


def test_it_masks_one_vector_only() -> None:
    w = wire("masked_input")
    refused(lambda: w.clients[0].mask([0] * 5), Fault.OUT_OF_ORDER, w.clients[0])


# Order, rounds, garbage


def test_every_message_out_of_its_phase_is_refused_and_closes() -> None:
    events: dict[WalletEvent, Callable[[SecAggClient, Wire], object]] = {
        WalletEvent.ADVERTISE: lambda c, w: c.advertise(),
        WalletEvent.LIST: lambda c, w: c.receive_list(w.lists[w.keys[0]], now=NOW),
        WalletEvent.BUNDLE: lambda c, w: c.receive_shares(w.bundles[w.keys[0]]),
        WalletEvent.MASK: lambda c, w: c.mask([0] * 5),
        WalletEvent.SURVIVORS: lambda c, w: c.receive_survivors(w.survivors[0]),
        WalletEvent.AGREEMENTS: lambda c, w: c.receive_consistency(agreements(w)),
    }
    whole = wire("close_consistency")
    order = list(events)
    for reached in range(len(order)):
        for event, send in events.items():
            victim = client(whole.head, 0)
            for step in order[:reached]:
                events[step](victim, whole)
            if (victim.phase, event) in WALLET:
                send(victim, whole)
                continue
            local = event in {WalletEvent.ADVERTISE, WalletEvent.MASK}
            with pytest.raises(LocalProtocolError if local else RemoteProtocolError) as caught:
                send(victim, whole)
            assert caught.value.reason is Fault.OUT_OF_ORDER
            assert victim.phase is WalletPhase.CLOSED


def test_messages_of_another_round_or_job_are_refused() -> None:
    here = wire("close_consistency")
    for change in ({"round": 2}, {"job": bytes(16)}):
        there = Wire(header(bucket_size=N, bucket_min=4, release_min=4, **change), N).until("advertise")
        refused(lambda: there.clients[0].receive_list(here.lists[here.keys[0]], now=NOW), Fault.WRONG_ROUND)  # noqa: B023


@pytest.mark.parametrize("field", ["checkpoint_hash", "manifest_hash", "rotation_seed"])
def test_a_wallet_with_another_header_shares_no_keys(field: str) -> None:
    """Oracle 7: a special model for one victim has another header, hence other keys; the server cannot mix the two."""
    w = wire("advertise")
    victim = client(header(bucket_size=N, bucket_min=4, release_min=4, **{field: b"\x09" * 32}), 0)
    data = victim.advertise()
    refused(lambda: w.round.receive_advertise(data, now=NOW), Fault.WRONG_ROUND)
    w.sign_lists()
    refused(lambda: victim.receive_list(w.lists[w.keys[0]], now=NOW), Fault.WRONG_ROUND, victim)


def test_masks_under_two_checkpoints_do_not_cancel() -> None:
    """Even if lists were signed twice: the same X25519 keys under another header hash give other masks."""
    from aggregation.secagg.masking import RoundKey
    from aggregation.wire.secret import Secret

    mine, peer = RoundKey(Secret(b"\x01" * 32)), RoundKey(Secret(b"\x02" * 32))
    one = mine.agree(peer.public, own_is_lower=True, salt=header().hash())
    other = peer.agree(mine.public, own_is_lower=False, salt=header(checkpoint_hash=bytes(32)).hash())
    same = peer.agree(mine.public, own_is_lower=False, salt=header().hash())
    assert one.mask_seed == same.mask_seed
    assert one.outgoing == same.incoming
    assert one.mask_seed != other.mask_seed
    mine.erase()
    with pytest.raises(LocalProtocolError):
        mine.agree(peer.public, own_is_lower=True, salt=bytes(32))


def test_a_wrong_update_is_our_own_fault_and_closes() -> None:
    w = wire("close_shares")
    w.clients[0].receive_shares(w.bundles[w.keys[0]])
    refused(lambda: w.clients[0].mask([1 << 20] * 5), Fault.WRONG_UPDATE, w.clients[0])


def test_closing_is_idempotent_and_says_nothing() -> None:
    w = wire("close_shares")
    assert "Secret" not in repr(w.clients[0])
    w.clients[0].close()
    w.clients[0].close()
    assert_erased(w.clients[0])


def test_the_distributor_refuses_buckets_that_were_not_drawn() -> None:
    w = Wire(header(log=member_log(10), bucket_size=5), 10)
    w.advertise()
    request = ListsRequest.from_bytes(w.round.close_advertise())
    request.check_assignment(w.head)
    aimed = ListsRequest(header=request.header, randomness=request.randomness, buckets=request.buckets[::-1])
    refused(lambda: aimed.check_assignment(w.head), Fault.WRONG_LIST)
    refused(lambda: request.check_assignment(header()), Fault.WRONG_ROUND)
    assert request.digest() != aimed.digest()


def test_a_bundle_message_keeps_its_own_form() -> None:
    w = wire("close_shares")
    bundle = ShareBundle.from_bytes(w.bundles[w.keys[0]])
    assert bundle.to_bytes() == w.bundles[w.keys[0]]
