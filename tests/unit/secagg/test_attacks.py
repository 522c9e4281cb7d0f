"""The attack table, row by row: a scripted malicious server and scripted malicious wallets against the real parties.

| row | attack | answer |
|---|---|---|
| 1 | the server asks for both secrets of a wallet | one answer per round, and 2t > degree + corrupt |
| 2 | man in the middle on keys | round key signed by the job key, whose enrolment is in the frozen log |
| 3 | equivocation about survivors | the distributor's single signature, plus peers' signatures |
| 4 | special model for one victim | header hash in every key |
| 5 | replay, rollback | every message names its round; the note of a reveal is durable before the answer |
| 6 | cohort of sybils | not stopped, slowed: frozen log, committed draw, own minima, own noise |
| 7 | all neighbours of one wallet declared dead | fewer than t shares exist |
| 8 | late vector after unmasking | its self mask is not revealed |
| 9 | bad share, box or vector from a wallet | noticed; the bucket is dropped, others go on |

Where a row needs a forged list or statement, the server here has the distributor's key: the wallet's own defences are what is
tested. Rows 6 and 9, which wallets attempt, are in `test_attacks_by_wallets`; faults of a widely used implementation in
`test_faults_of_others`; single refusals, case by case, in
`test_wallet_defends_itself` and `test_server_refuses`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest

from aggregation.secagg import masking, shamir, vectors
from aggregation.secagg.client import SecAggClient
from aggregation.secagg.errors import Abort, AbortReason, Fault, ProtocolError
from aggregation.secagg.messages import (
    Advertise,
    EscrowShare,
    Evidence,
    MaskedInput,
    SelfShare,
    ShareKeys,
    Unmask,
)
from aggregation.wire import sealing, signing
from tests.unit.secagg import malicious
from tests.unit.secagg.malicious import (
    agreement_set,
    agrees,
    assert_erased,
    at,
    place,
    refused,
    signed_list,
    signed_survivors,
    small,
)
from tests.unit.secagg.pair import (
    NOW,
    Entropy,
    Wire,
    client,
    header,
    job_key,
    member_log,
)
from tests.unit.secagg.tamper import changed


def shares_of(w: Wire, owner: int, kind: type, answers: list[bytes]) -> list[tuple[int, bytes]]:
    """The points a server finds for a position's secret in Unmask messages."""
    bucket = w.round.buckets[0].bucket
    points = []
    for message in map(Unmask.from_bytes, answers):
        x = bucket.position(message.sender)
        points += [
            (bucket.graph.x_of(owner, x), s.share)
            for s in message.shares
            if s.owner == owner and isinstance(s, kind)
        ]
    return points


# Row 1: the server asks for both secrets of a wallet


@pytest.mark.parametrize("corrupt", [0, 2, 3])
def test_row_1_no_split_of_the_neighbours_gives_both_secrets(corrupt: int) -> None:
    """Exhaustive: the distributor signs "the victim survived" and "the victim is lost", each honest neighbour is shown either,
    corrupt wallets agree to both and give both shares they hold. With 2t > degree + corrupt, at most one secret has t shares."""
    n = 7
    head = header(bucket_size=n, bucket_min=4, release_min=4, threshold_ppm=700_000)
    threshold, degree = head.threshold(n), n - 1
    assert 2 * threshold > degree + corrupt
    most = {SelfShare: 0, EscrowShare: 0}
    for split in product((SelfShare, EscrowShare), repeat=degree - corrupt):
        w = Wire(head, n, verify_sample=None).until("masked_input")
        victim = 0
        corrupted, honest = range(1, 1 + corrupt), range(1 + corrupt, n)
        gone = place(w, victim)
        shown = {
            SelfShare: signed_survivors(w, *range(n)),
            EscrowShare: signed_survivors(w, *(p for p in range(n) if p != gone)),
        }
        story = dict(zip(honest, split, strict=True)) | {victim: SelfShare}
        said = {i: w.clients[i].receive_survivors(shown[kind]) for i, kind in story.items()}
        points: dict[type, set[int]] = {SelfShare: set(), EscrowShare: set()}
        for kind, survivors in shown.items():
            agreed = {place(w, i): said[i] for i in story if story[i] is kind}
            agreed |= {place(w, i): agrees(w, i, survivors) for i in corrupted}
            for i in honest:
                if story[i] is not kind:
                    continue
                try:
                    answer = w.clients[i].receive_consistency(agreement_set(w, survivors, agreed))
                except ProtocolError as error:
                    assert error.reason is Fault.TOO_FEW_AGREE
                else:
                    points[kind] |= {x for x, _ in shares_of(w, gone, kind, [answer])}
            points[kind] |= {w.round.buckets[0].bucket.graph.x_of(gone, place(w, i)) for i in corrupted}
        counts = {kind: len(found) for kind, found in points.items()}
        assert min(counts.values()) < threshold, (split, counts)
        most = {kind: max(most[kind], counts[kind]) for kind in most}
    assert most[SelfShare] >= threshold, "the attack is real: one of the two can be had"


def test_row_1_one_message_holds_one_share_per_peer_and_a_second_message_never_comes() -> None:
    w = small().until("unmask")
    for i, data in w.sent["unmask"].items():
        owners = [share.owner for share in Unmask.from_bytes(data).shares]
        assert len(owners) == len(set(owners)) == 5
        assert_erased(w.clients[i])
        refused(lambda i=i: w.clients[i].receive_consistency(w.agreements[w.keys[i]]), Fault.OUT_OF_ORDER)


# Row 2: man in the middle on keys


def test_row_2_a_key_in_the_middle_is_refused_though_the_distributor_signed_it() -> None:
    w = small().until("sign_lists")

    def change(rows: malicious.Rows) -> None:
        next(row for row in rows if row[0] == w.keys[1])[1] = sealing.public_key(
            sealing.generate(Entropy("m"))
        )

    refused(
        lambda: w.clients[0].receive_list(signed_list(w, change), now=NOW), Fault.BAD_SIGNATURE, w.clients[0]
    )


def test_row_2_a_job_key_of_the_servers_own_is_not_in_the_frozen_log() -> None:
    """The server signs the key in the middle with a job key it made itself, and proves it under a log of its own."""
    w = small().until("sign_lists")
    evil, round_key = job_key(99), sealing.public_key(sealing.generate(Entropy("m")))
    public = signing.public_key(evil)
    signature = Advertise.sign(evil, header=w.head.hash(), sender=public, public_key=round_key).signature
    target = place(w, 1)

    def change(rows: malicious.Rows) -> None:
        rows[target][:2] = [public, round_key]

    own_log = Evidence(position=target, signature=signature, proof=member_log(2).proof(0)).row()
    data = changed(
        signed_list(w, change), evidence=lambda old: [own_log if row[0] == target else row for row in old]
    )
    refused(lambda: w.clients[0].receive_list(data, now=NOW), Fault.BAD_PROOF, w.clients[0])


def test_row_2_without_the_distributor_not_even_the_list_is_believed() -> None:
    w = small().until("sign_lists")
    data = signed_list(w, key=job_key(98))
    refused(lambda: w.clients[0].receive_list(data, now=NOW), Fault.BAD_SIGNATURE, w.clients[0])


# Row 3: equivocation about survivors


def test_row_3_the_server_alone_cannot_state_survivors() -> None:
    w = small().until("sign_survivors")
    forged = changed(w.survivors[0], signature=lambda old: bytes([old[0] ^ 1]) + old[1:])
    refused(lambda: w.clients[0].receive_survivors(forged), Fault.BAD_SIGNATURE, w.clients[0])


def test_row_3_two_statements_signed_by_the_distributor_meet_at_the_peers_signatures() -> None:
    """Half of the wallets see one statement, half the other; no honest wallet finds t neighbours on its side."""
    w = small(8).until("masked_input")
    stories = [signed_survivors(w, *range(8)), signed_survivors(w, *range(7))]
    told = {i: place(w, i) % 2 for i in range(8) if place(w, i) < 7}
    said = {i: w.clients[i].receive_survivors(stories[side]) for i, side in told.items()}
    for i, side in told.items():
        mates = {place(w, j): said[j] for j in told if told[j] == side}
        mixed = {place(w, j): said[j] for j in told}
        few = agreement_set(w, stories[side], mates)
        forged = agreement_set(w, stories[side], mixed)
        expected = Fault.TOO_FEW_AGREE if i % 2 else Fault.BAD_SIGNATURE
        refused(
            lambda i=i, d=few if i % 2 else forged: w.clients[i].receive_consistency(d),
            expected,
            w.clients[i],
        )
    assert not any(notes.noted for notes in w.notes)


# Row 4: a special model for one victim


def test_row_4_another_checkpoint_makes_the_victims_messages_worthless() -> None:
    """The victim is shown another checkpoint. Its key is refused under the round of the others, and theirs under its own."""
    w = small(checkpoint_hash=b"A" * 32)
    victim = client(header(**_like(w), checkpoint_hash=b"B" * 32), 0, verify_sample=None)
    advertised = victim.advertise()
    refused(lambda: w.round.receive_advertise(advertised, now=NOW), Fault.WRONG_ROUND)
    w.gone = {"advertise": [0]}
    w.until("advertise")
    message = Advertise.from_bytes(advertised)
    w.round._advertises[w.keys[0]] = Advertise.sign(
        job_key(0), header=w.head.hash(), sender=message.sender, public_key=message.public_key
    )
    w.sign_lists()
    shown = changed(signed_list(w), header=victim.header.hash())
    refused(lambda: victim.receive_list(shown, now=NOW), Fault.BAD_SIGNATURE, victim)


def test_row_4_even_unchecked_the_masks_and_shares_do_not_meet() -> None:
    """A victim that verifies nothing at all: the keys themselves contain the checkpoint."""
    head, other = (header(bucket_size=5, checkpoint_hash=c * 32) for c in (b"A", b"B"))
    private = [sealing.generate(Entropy(("row 4", i))) for i in range(2)]
    keys = [masking.RoundKey(key) for key in private]
    mine = keys[0].agree(keys[1].public, own_is_lower=True, salt=other.hash())
    theirs = keys[1].agree(keys[0].public, own_is_lower=False, salt=head.hash())
    assert mine.mask_seed != theirs.mask_seed
    sealed = masking.seal_share(mine.outgoing, bytes(32), other.hash())
    assert masking.open_share(theirs.incoming, sealed, head.hash()) is None
    words = vectors.encode_update(head, [1] * 5) + vectors.encode_update(head, [2] * 5)
    vectors.add_masks(words, [(mine.mask_seed, 1), (theirs.mask_seed, -1)])
    with pytest.raises(Abort) as caught:
        vectors.decode_sum(head, words, 2)
    assert caught.value.reason is AbortReason.WRONG_COUNT


def _like(w: Wire) -> dict[str, Any]:
    return {
        name: getattr(w.head, name)
        for name in ("bucket_size", "bucket_min", "release_min", "log_root", "log_size")
    }


# Row 5: replay and rollback


def test_row_5_messages_of_another_round_are_refused_at_every_step() -> None:
    old, new = small(round=1).until("unmask"), small(round=2)
    victim = new.clients[0]
    victim.advertise()
    refused(lambda: victim.receive_list(old.lists[old.keys[0]], now=NOW), Fault.WRONG_ROUND, victim)
    for step, receive in SERVER_RECEIVES.items():
        new = small(round=2)
        for before in new.STEPS[: new.STEPS.index(step)]:
            getattr(new, before)()
        data = old.sent[step][0]
        refused(partial(receive, new, data), Fault.WRONG_ROUND)
    for step, replay in WALLET_RECEIVES.items():
        new = small(round=2).until(step)
        refused(partial(replay, new.clients[0], old), Fault.WRONG_ROUND, new.clients[0])


SERVER_RECEIVES: dict[str, Callable[[Wire, bytes], None]] = {
    "advertise": lambda w, d: w.round.receive_advertise(d, now=NOW),
    "share_keys": lambda w, d: w.bucket_of(0).receive_share_keys(d),
    "masked_input": lambda w, d: w.bucket_of(0).receive_masked(d),
    "consistency": lambda w, d: w.bucket_of(0).receive_consistency(d),
    "unmask": lambda w, d: w.bucket_of(0).receive_unmask(d),
}
WALLET_RECEIVES: dict[str, Callable[[SecAggClient, Wire], object]] = {
    "share_keys": lambda client, old: client.receive_shares(old.bundles[old.keys[0]]),
    "masked_input": lambda client, old: client.receive_survivors(old.survivors[0]),
    "close_consistency": lambda client, old: client.receive_consistency(old.agreements[old.keys[0]]),
}


def test_row_5_a_wallet_rolled_back_to_an_old_state_does_not_reveal_again() -> None:
    """The machine is rolled back (same entropy, same messages), the durable note is not."""
    w = small().until("unmask")
    again = client(w.head, 0, notes=w.notes[0], verify_sample=None)
    assert again.advertise() == w.sent["advertise"][0]
    again.receive_list(w.lists[w.keys[0]], now=NOW)
    again.receive_shares(w.bundles[w.keys[0]])
    again.mask([1] * 5)
    again.receive_survivors(w.survivors[0])
    refused(lambda: again.receive_consistency(w.agreements[w.keys[0]]), Fault.ALREADY_REVEALED, again)


# Row 7: all neighbours of one wallet declared dead


def test_row_7_too_few_shares_of_an_isolated_wallet_exist() -> None:
    """On a circulant graph bucket_min can be met by strangers; the victim looks at its own neighbours."""
    n = 12
    head = header(log=member_log(n), bucket_size=n, bucket_min=4, release_min=4, graph="circulant", k=4)
    w = Wire(head, n, verify_sample=None).until("masked_input")
    bucket = w.round.buckets[0].bucket
    victim = at(w, 0)
    around = bucket.graph.neighbours(0)
    data = signed_survivors(w, *(p for p in range(n) if p not in around))
    refused(lambda: w.clients[victim].receive_survivors(data), Fault.TOO_FEW_SHARES, w.clients[victim])
    holders = [p for p in range(n) if p in around]
    assert len(holders) - len(around) < bucket.threshold, "nobody who answers holds a share of the victim"


def test_row_7_the_server_itself_stops_before_anything_is_asked() -> None:
    w = small(6, bucket_min=2, release_min=2, threshold_ppm=700_000)
    w.gone = {"masked_input": [1, 2, 3]}
    w.until("masked_input")
    with pytest.raises(Abort):
        w.round.close_inputs()
    abort = w.round.buckets[0].abort_reason
    assert abort is not None
    assert abort.reason is AbortReason.BELOW_THRESHOLD
    assert not any(notes.noted for notes in w.notes)


# Row 8: a late vector


def test_row_8_a_late_vector_stays_masked_whatever_the_server_tries() -> None:
    """Everything revealed is κ of the late wallet and b of the others: no set of the vectors with the late one decodes."""
    w = Wire(header(bucket_size=5, d=3), 5, late=[2], verify_sample=None).until("unmask")
    late, bucket = place(w, 2), w.round.buckets[0].bucket
    answers = list(w.sent["unmask"].values())
    assert not shares_of(w, late, SelfShare, answers)
    seeds = {
        p: shamir.combine(shares_of(w, p, SelfShare, answers)[: bucket.threshold])
        for p in range(5)
        if p != late
    }
    kappa = shamir.combine(shares_of(w, late, EscrowShare, answers)[: bucket.threshold])
    box = ShareKeys.from_bytes(w.sent["share_keys"][2]).escrow
    opened = masking.open_escrow(kappa, box, owner=w.keys[2], salt=w.head.hash(), seeds=4)
    assert opened is not None
    pairwise = dict(zip(bucket.graph.neighbours(late), opened, strict=True))
    ys = {place(w, i): MaskedInput.from_bytes(w.sent["masked_input"][i]).y for i in range(5)}
    for size in range(5):
        for others in combinations([p for p in range(5) if p != late], size):
            words = np.frombuffer(ys[late], "<u4").copy()
            for p in others:
                words += np.frombuffer(ys[p], "<u4")
                vectors.add_mask(words, seeds[p], -1)
            for peer, seed in pairwise.items():
                if peer not in others:  # the edges inside the set cancel, these do not: take them off
                    vectors.add_mask(words, seed, -1 if late < peer else 1)
            with pytest.raises(Abort):
                vectors.decode_sum(w.head, words, size + 1)


def test_row_8_a_late_vector_is_refused_by_the_honest_server() -> None:
    w = Wire(header(bucket_size=6), 6, late=[2]).until("sign_survivors")
    refused(lambda: w.bucket_of(2).receive_masked(w.sent["masked_input"][2]), Fault.OUT_OF_ORDER)
