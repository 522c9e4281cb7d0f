"""Drawing, inviting, delivering or cancelling; and signing once."""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import replace

import pytest
from django.db import IntegrityError, transaction

from aggregation.secagg.messages import Advertise, Header, SurvivorsRequest, cohort_randomness
from aggregation.secagg.messages import Enrolment as EnrolmentMessage
from aggregation.secagg.server import MemberLog, assign_buckets
from aggregation.wire import cbor, sealing, signing
from tests.apps.distributor.conftest import said
from wallets.distributor import clients, config, selectors
from wallets.distributor.errors import AggregatorDown, AggregatorRefused, Conflict, Malformed
from wallets.distributor.models import Enrolment, Invitation, Round, Signed
from wallets.distributor.services import answers, draw, presence, rounds, routes
from wallets.distributor.services import signing as signing_service
from wallets.distributor.services.answers import Answer, Verb

pytestmark = pytest.mark.django_db(databases=["distributor"])


def accept(cast, row, count=None, verb=Verb.ACCEPT):
    by_key = {signing.public_key(secret).hex(): secret for secret in cast.subscriptions}
    open_now = Invitation.objects.filter(round=row, state="invited").select_related("enrolment")
    for invitation in list(open_now)[:count]:
        secret = by_key[invitation.enrolment.subscription_key]
        assert cast.answer(secret, verb, bytes(invitation.ident)) is None


def drawn(row):
    return set(Invitation.objects.filter(round=row).values_list("enrolment__subscription_key", flat=True))


def test_nobody_is_drawn_twice_before_everybody_was_drawn_once(cast):
    cast.frozen_job(12)
    seen = []
    for number in range(1, 4):
        row = rounds.open_round(job_id=cast.job_id, order=cast.order(number, cohort=4))
        accept(cast, row)
        rounds.step(row.pk)
        seen.append(drawn(row))
    assert len(seen[0] | seen[1] | seen[2]) == 12
    row = rounds.open_round(job_id=cast.job_id, order=cast.order(4, cohort=4))
    assert len(drawn(row)) == 4


def test_the_draw_is_the_committed_prf_and_changes_with_the_round(cast):
    job = cast.frozen_job(20)
    members = list(Enrolment.objects.filter(job=job))
    first = sorted(members, key=lambda m: draw.ranking(job, 1)(m.job_key))
    assert draw.candidates(job, 1) == [m.pk for m in first]
    assert draw.candidates(job, 2) != [m.pk for m in first]
    Enrolment.objects.filter(pk__in=[m.pk for m in first[:5]]).update(times_drawn=1)
    turns = first[5:] + first[:5]  # whoever was drawn waits until everybody was
    for most in (0, 3, 17, 50):
        assert draw.candidates(job, 1, most) == [m.pk for m in turns[:most]]


def test_a_rank_is_the_keyed_hash_of_what_is_written_down(cast):
    """docs/protocol/interfaces.md: HMAC-SHA256 under the cohort key over the CBOR of root, round and job key."""
    job = cast.frozen_job(2)
    for member in Enrolment.objects.filter(job=job):
        for number in (1, 23, 24, 300):
            body = {
                "job_key": bytes.fromhex(member.job_key),
                "root": bytes.fromhex(job.log_root),
                "round": number,
            }
            expected = hmac.new(bytes(job.cohort_key), cbor.encode(body), hashlib.sha256).digest()
            assert draw.ranking(job, number)(member.job_key) == expected


def test_wallets_that_are_away_are_passed_over_and_refusals_are_replaced(cast):
    cast.frozen_job(6)
    keys = [signing.public_key(secret).hex() for secret in cast.subscriptions]
    presence.note(dict.fromkeys(keys[:2], False))
    row = rounds.open_round(job_id=cast.job_id, order=cast.order(1, cohort=3))
    assert drawn(row) <= set(keys[2:])
    waiting = [
        item.mark for item in selectors.waiting_answers()
    ]  # what a hub looks up when wake-ups were lost
    assert sorted(waiting) == sorted(item.mark for item in selectors.waiting_round(row.pk))
    assert len(waiting) == 3
    accept(cast, row, 1, Verb.DECLINE)
    rounds.step(row.pk)
    assert drawn(row) == set(keys[2:])


def test_a_full_cohort_is_told_to_the_aggregator_before_it_is_delivered(cast):
    cast.frozen_job(4)
    row = rounds.open_round(job_id=cast.job_id, order=cast.order(1, cohort=4))
    accept(cast, row)
    rounds.step(row.pk)
    tickets = cast.told[-1][1]["tickets"]
    assert len(tickets) == 4
    assert selectors.round_state(cast.job_id, 1) == {
        "state": "delivered",
        "invited": 4,
        "accepted": 4,
        "delivered": 4,
    }
    frames = [said(item) for item in selectors.waiting_round(row.pk)]
    assert {frame["t"] for frame in frames} == {"deliver"}
    assert {frame["ticket"].hex() for frame in frames} == set(tickets.values())


def test_while_the_aggregator_is_down_nothing_is_delivered_and_the_cohort_stands(cast, monkeypatch):
    cast.frozen_job(4)
    row = rounds.open_round(job_id=cast.job_id, order=cast.order(1, cohort=4))
    accept(cast, row)

    def down(*args):
        raise AggregatorDown("down")

    with monkeypatch.context() as patch:
        patch.setattr(clients, "put_cohort", down)
        with pytest.raises(AggregatorDown):
            rounds.step(row.pk)
    assert not [item for item in selectors.waiting_round(row.pk) if said(item)["t"] == "deliver"]
    rounds.step(row.pk)
    assert selectors.round_state(cast.job_id, 1)["delivered"] == 4


def test_too_few_acceptances_cancel_the_round_and_keep_the_turn(cast, monkeypatch):
    cast.frozen_job(4)
    row = rounds.open_round(job_id=cast.job_id, order=cast.order(1, cohort=4, minimum=3))
    accept(cast, row, 2)
    rounds.step(row.pk)
    assert Round.objects.get().state == "inviting"
    later = row.accept_until
    monkeypatch.setattr(config, "now", lambda: later)
    rounds.step(row.pk)
    assert selectors.round_state(cast.job_id, 1)["state"] == "short"
    assert [said(item)["t"] for item in selectors.waiting_round(row.pk)] == ["cancelled"] * 4
    assert not [name for name, _ in cast.told if name == "cohort"]
    assert sorted(Enrolment.objects.values_list("times_drawn", flat=True)) == [0, 0, 1, 1]


def test_an_aggregator_that_refuses_the_cohort_ends_the_round(cast, monkeypatch):
    cast.frozen_job(4)
    row = rounds.open_round(job_id=cast.job_id, order=cast.order(1, cohort=4))
    accept(cast, row)

    def refuse(*args):
        raise AggregatorRefused("over", code="round_over")

    monkeypatch.setattr(clients, "put_cohort", refuse)
    rounds.step(row.pk)
    assert Round.objects.get().state == "short"


def test_never_more_deliveries_than_were_reserved(cast):
    cast.frozen_job(6)
    order = cast.order(1, cohort=4, over_selection_ppm=1_500_000, max_deliveries=5)
    row = rounds.open_round(job_id=cast.job_id, order=order)
    accept(cast, row)
    rounds.step(row.pk)
    assert selectors.round_state(cast.job_id, 1)["delivered"] == 5


def answer_to(row, verb, keys=None):
    """To each invitation of a round, by its wallet or by others."""
    of = Invitation.objects.filter(round=row).order_by("pk").select_related("enrolment")
    return [
        Answer(verb=verb, ident=bytes(one.ident), keys=frozenset(keys or {one.enrolment.subscription_key}))
        for one in of
    ]


def test_of_a_batch_each_answer_counts_for_its_own_wallet_and_once(cast):
    cast.frozen_job(4)
    row = rounds.open_round(job_id=cast.job_id, order=cast.order(1, cohort=4))
    yes, no = answer_to(row, Verb.ACCEPT), answer_to(row, Verb.DECLINE)
    stranger = replace(yes[1], keys=frozenset({"00" * 32}))
    outcomes = answers.record([yes[0], no[0], stranger, no[2], yes[2], yes[3]])
    assert [getattr(outcome, "code", None) for outcome in outcomes] == [None, None, "unknown", *[None] * 3]
    states = Invitation.objects.filter(round=row).order_by("pk").values_list("state", flat=True)
    assert list(states) == ["accepted", "invited", "declined", "accepted"]


def test_a_batch_goes_by_the_state_its_rounds_have_when_it_holds_them(cast, monkeypatch):
    cast.frozen_job(2)
    row = rounds.open_round(job_id=cast.job_id, order=cast.order(1, cohort=2))
    lock = answers._lock

    def late(batch):
        Round.objects.filter(pk=row.pk).update(state=Round.State.DELIVERING)
        lock(batch)

    monkeypatch.setattr(answers, "_lock", late)
    outcomes = answers.record(answer_to(row, Verb.ACCEPT))
    assert [outcome.code for outcome in outcomes] == ["late"] * 2
    assert not Invitation.objects.filter(round=row).exclude(state="invited").exists()


def test_invitations_are_written_in_the_order_of_the_log_whatever_the_draw_is(cast):
    cast.frozen_job(30)
    row = rounds.open_round(job_id=cast.job_id, order=cast.order(1, cohort=20))
    written = list(Invitation.objects.filter(round=row).order_by("pk").values_list("enrolment_id", flat=True))
    assert written == sorted(written)
    assert {times for (times,) in Enrolment.objects.filter(pk__in=written).values_list("times_drawn")} == {1}
    assert Enrolment.objects.filter(times_drawn=1).count() == len(written) == row.wanted


def test_a_wallet_revoked_after_its_invitation_gets_nothing(cast):
    cast.frozen_job(4)
    row = rounds.open_round(job_id=cast.job_id, order=cast.order(1, cohort=4))
    accept(cast, row)
    gone = signing.public_key(cast.subscriptions[0]).hex()
    routes.stop_subscriber(collective_id=cast.collective_id, key=gone, notify=False)
    rounds.step(row.pk)
    delivered = {item.key for item in selectors.waiting_round(row.pk) if said(item)["t"] == "deliver"}
    assert gone not in delivered
    assert len(cast.told[-1][1]["tickets"]) == 3


def test_a_wallet_revoked_while_the_cohort_is_being_told_stays_in_it(cast, monkeypatch):
    sent = []
    monkeypatch.setattr(routes, "enqueue", lambda *call: sent.append(call))
    cast.frozen_job(4)
    row = rounds.open_round(job_id=cast.job_id, order=cast.order(1, cohort=4))
    accept(cast, row)
    told = []

    def answer_lost(job_id, number, body):
        told.append(body)
        raise AggregatorDown("no answer")

    monkeypatch.setattr(clients, "put_cohort", answer_lost)
    with pytest.raises(AggregatorDown):
        rounds.step(row.pk)
    gone = signing.public_key(cast.subscriptions[0]).hex()
    routes.stop_subscriber(collective_id=cast.collective_id, key=gone, notify=False)
    monkeypatch.setattr(clients, "put_cohort", lambda job_id, number, body: told.append(body))
    rounds.step(row.pk)
    assert told[0] == told[1]
    assert len(told[1]["tickets"]) == 4
    assert gone not in {item.key for item in selectors.waiting_round(row.pk)}
    ((task, pk),) = sent
    assert task == "distributor.tell_left"
    left = Invitation.objects.get(pk=pk)
    assert left.enrolment.subscription_key == gone
    named = []
    monkeypatch.setattr(clients, "delete_place", lambda *args: named.append(args))
    rounds.tell_left(left.pk)
    assert named == [(cast.job_id, 1, left.enrolment.job_key)]


def test_a_round_is_opened_once_and_only_forward(cast):
    cast.frozen_job(4)
    order = cast.order(2, cohort=4)
    assert (
        rounds.open_round(job_id=cast.job_id, order=order).pk
        == rounds.open_round(job_id=cast.job_id, order=order).pk
    )
    with pytest.raises(Conflict):
        rounds.open_round(job_id=cast.job_id, order=cast.order(1, cohort=4))
    with pytest.raises(Malformed):
        rounds.open_round(job_id=cast.job_id, order=cast.order(3, cohort=4, task_body=b"x"))


# signing


def delivered_round(cast):
    job = cast.frozen_job(4)
    row = rounds.open_round(job_id=cast.job_id, order=cast.order(1, cohort=4))
    accept(cast, row)
    rounds.step(row.pk)
    header = Header.from_bytes(bytes(row.header))
    rows = Enrolment.objects.filter(job=job).order_by("index")
    log = MemberLog(job=job.id.bytes, enrolments=[EnrolmentMessage.from_bytes(bytes(r.body)) for r in rows])
    return row, header, log, [bytes.fromhex(r.job_key) for r in rows]


def roster_of(header, log, keys, tickets):
    advertises = [
        Advertise(
            header=header.hash(),
            sender=key,
            public_key=sealing.public_key(sealing.generate(os.urandom)),
            signature=bytes(64),
        )
        for key in keys
    ]
    return assign_buckets(header, advertises, log=log, randomness=cohort_randomness(tickets))


def tickets_of(row):
    return [bytes(ticket) for ticket in Invitation.objects.filter(round=row).values_list("ticket", flat=True)]


def sign(cast, kind, body):
    return signing_service.sign(kind=kind, body=body, job_id=cast.job_id, number=1)


def test_one_set_of_lists_is_signed_per_round(cast):
    row, header, log, keys = delivered_round(cast)
    roster = roster_of(header, log, keys, tickets_of(row))
    signature = sign(cast, "lists", roster.request())
    roster.signed(signature)
    assert sign(cast, "lists", roster.request()) == signature
    other = roster_of(header, log, keys, tickets_of(row))
    with pytest.raises(signing_service.WillNotSign, match="before"):
        sign(cast, "lists", other.request())
    assert Signed.objects.count() == 1


def test_lists_with_a_stranger_or_other_tickets_are_not_signed(cast):
    row, header, log, keys = delivered_round(cast)
    Invitation.objects.filter(enrolment__job_key=keys[0].hex()).update(state="cancelled")
    kept = [bytes(item.ticket) for item in Invitation.objects.filter(round=row, state="delivered")]
    with pytest.raises(signing_service.WillNotSign, match="nothing was delivered"):
        sign(cast, "lists", roster_of(header, log, keys, kept).request())
    with pytest.raises(signing_service.WillNotSign, match="tickets"):
        sign(cast, "lists", roster_of(header, log, keys[1:], [os.urandom(16)]).request())
    assert not Signed.objects.exists()


def test_survivors_follow_the_signed_lists_and_the_minima(cast):
    row, header, log, keys = delivered_round(cast)
    roster = roster_of(header, log, keys, tickets_of(row))

    def survivors(positions, root=None):
        buckets = (
            (positions,)
            if len(roster.lists.buckets) == 1
            else (positions, *[()] * (len(roster.lists.buckets) - 1))
        )
        return SurvivorsRequest(
            header=header.hash(), lists_root=root or roster.root, buckets=buckets
        ).to_bytes()

    with pytest.raises(signing_service.WillNotSign):
        sign(cast, "survivors", survivors((0, 1)))
    sign(cast, "lists", roster.request())
    with pytest.raises(signing_service.WillNotSign):
        sign(cast, "survivors", survivors((0, 1), root=bytes(32)))
    with pytest.raises(signing_service.WillNotSign, match="minimum"):
        sign(cast, "survivors", survivors((0,)))
    sign(cast, "survivors", survivors((0, 1)))
    with pytest.raises(signing_service.WillNotSign, match="before"):
        sign(
            cast,
            "survivors",
            survivors((1, 2)) if len(roster.lists.buckets[0]) > 2 else survivors((0, 1), bytes(32)),
        )


def test_the_database_itself_refuses_a_second_signature(cast):
    values = {
        "job_id": cast.job_id,
        "round": 1,
        "kind": "lists",
        "digest": "a",
        "lists_root": "b",
        "created": 1,
    }
    Signed.objects.create(signature=b"x", **values)
    with pytest.raises(IntegrityError), transaction.atomic(using="distributor"):
        Signed.objects.create(signature=b"y", **values)
    with pytest.raises(TypeError):
        Signed.objects.get().save()
