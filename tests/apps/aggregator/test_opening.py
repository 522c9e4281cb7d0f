"""Members, rounds and cohorts: what is refused, and that repeating a call changes nothing."""

from __future__ import annotations

import os
from dataclasses import asdict

import pytest

from aggregation.privacy import rotation
from aggregation.secagg.messages import Header
from aggregation.server import config
from aggregation.server.errors import Conflict, Malformed
from aggregation.server.models import Job, Participant, PhaseMessage, Round, RoundTransition
from aggregation.server.services import opening, progress, results, transitions
from aggregation.server.states import NEXT, OVER, Step, may_move

pytestmark = pytest.mark.django_db(databases=["aggregator"])
BASE = "/internal/aggregator"


def tickets(cast, count=4):
    return {key: os.urandom(16).hex() for key in cast.job_keys()[:count]}


def test_members_are_verified_and_stored_once(cast):
    cast.members(4)
    assert Job.objects.get().log_size == 4
    with pytest.raises(Conflict):
        cast.members(5)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"log_root": "00" * 32}, "wrong_root"),
        ({"signature": bytes(64)}, "bad_signature"),
        ({"enrolments": [b"x"]}, "malformed"),
        ({"manifest_hash": "00" * 32}, "wrong_enrolment"),
    ],
)
def test_members_that_do_not_fit_are_refused(cast, changed, code):
    with pytest.raises(Malformed) as caught:
        cast.members(3, **changed)
    assert caught.value.code == code
    assert not Job.objects.exists()


def test_a_round_needs_its_members_and_is_opened_once(cast):
    with pytest.raises(Conflict) as caught:
        opening.open_round(job_id=cast.job_id, number=1, order=cast.order())
    assert caught.value.code == "no_members"
    cast.members(4)
    first = opening.open_round(job_id=cast.job_id, number=1, order=cast.order())
    again = opening.open_round(job_id=cast.job_id, number=1, order=cast.order())
    assert bytes(first.header) == bytes(again.header)
    with pytest.raises(Conflict):
        opening.open_round(job_id=cast.job_id, number=1, order=cast.order(d=9))
    with pytest.raises(Conflict) as caught:
        opening.open_round(job_id=cast.job_id, number=2, order=cast.order())
    assert caught.value.code == "round_running"


def test_lowered_minima_need_the_development_setting(cast, settings):
    cast.members(4)
    settings.DEVELOPMENT_MINIMA = False
    with pytest.raises(Malformed) as caught:
        opening.open_round(job_id=cast.job_id, number=1, order=cast.order())
    assert caught.value.code == "development_not_allowed"
    with pytest.raises(Malformed) as caught:
        opening.open_round(job_id=cast.job_id, number=1, order=cast.order(development=False))
    assert caught.value.code == "bad_header"


def test_a_cohort_is_named_once_and_only_of_members(cast):
    cast.members(4)
    opening.open_round(job_id=cast.job_id, number=1, order=cast.order())
    with pytest.raises(Malformed):
        opening.put_cohort(job_id=cast.job_id, number=1, tickets={"ab" * 32: "00" * 16})
    named = tickets(cast)
    for _ in range(2):
        opening.put_cohort(job_id=cast.job_id, number=1, tickets=named)
    assert Participant.objects.count() == 4
    assert Round.objects.get().step == "advertise"
    with pytest.raises(Conflict):
        opening.put_cohort(job_id=cast.job_id, number=1, tickets=tickets(cast, 3))


def test_an_ended_round_takes_no_cohort_and_says_why(cast, call):
    cast.members(4)
    opening.open_round(job_id=cast.job_id, number=1, order=cast.order())
    results.stop(job_id=cast.job_id, number=1)
    results.stop(job_id=cast.job_id, number=1)
    with pytest.raises(Conflict) as caught:
        opening.put_cohort(job_id=cast.job_id, number=1, tickets=tickets(cast))
    assert caught.value.code == "round_over"
    status, state = call("collectives", "GET", f"{BASE}/jobs/{cast.job_id}/rounds/1")
    assert status == 200
    assert (state["state"], state["code"], state["receipts"]) == ("abandoned", "stopped", 0)
    assert state["reason"] == "The collective ended the round."
    assert [(row.before, row.after) for row in RoundTransition.objects.all()] == [("opened", "abandoned")]


def test_nobody_waits_for_a_wallet_that_was_revoked_before_it_joined(cast, call, monkeypatch):
    cast.members(4)
    opening.open_round(job_id=cast.job_id, number=1, order=cast.order())
    opening.put_cohort(job_id=cast.job_id, number=1, tickets=tickets(cast))
    people = list(Participant.objects.order_by("job_key"))
    late = config.precise_now() + 1
    for person in people[:3]:
        person.hub, person.state = "here", Participant.State.PRESENT
        person.save()
        PhaseMessage.objects.create(participant=person, phase="advertise", body=b"x")
    monkeypatch.setattr(config, "precise_now", lambda: late)
    row = Round.objects.get()
    assert not progress.due(row)
    for person in (people[3], people[0]):
        path = f"{BASE}/jobs/{cast.job_id}/rounds/1/cohort/{person.job_key}"
        assert call("distributor", "DELETE", path)[0] == 200
    assert progress.due(row)
    assert Participant.objects.get(pk=people[0].pk).gone_since > 0, "who is here says itself what it does"
    assert row.expected == 4


def test_a_running_round_gives_out_no_counts(cast, call):
    cast.members(4)
    opening.open_round(job_id=cast.job_id, number=1, order=cast.order())
    opening.put_cohort(job_id=cast.job_id, number=1, tickets=tickets(cast))
    state = call("collectives", "GET", f"{BASE}/jobs/{cast.job_id}/rounds/1")[1]
    assert (state["state"], state["phase"], state["enough"]) == ("selecting", "advertise", True)
    assert state["receipts"] is state["joined"] is state["survivors"] is None
    assert state["buckets"] == []


@pytest.mark.parametrize("role", ["collectives", "distributor", "market"])
def test_each_call_belongs_to_one_role(cast, call, role):
    paths = {
        "distributor": [f"{BASE}/signing-requests"],
        "market": [f"{BASE}/totals", f"{BASE}/epochs/1"],
        "collectives": [f"{BASE}/jobs/{cast.job_id}/rounds/1", f"{BASE}/jobs/{cast.job_id}/rounds/1/sum"],
    }
    for owner, owned in paths.items():
        for path in owned:
            status, _ = call(role, "GET", path)
            assert (status == 403) == (owner != role), (role, path, status)


def test_states_lead_one_way_and_every_open_step_can_be_abandoned():
    for step in Step:
        assert may_move(step, Step.ABANDONED) == (step not in OVER)
        assert sum(may_move(step, other) for other in Step if other is not Step.ABANDONED) == (step in NEXT)


def test_a_move_that_is_not_in_the_table_is_refused(cast):
    cast.members(4)
    row = opening.open_round(job_id=cast.job_id, number=1, order=cast.order())
    with pytest.raises(Conflict) as caught:
        transitions.move(row, Step.UNMASK)
    assert caught.value.code == "wrong_state"


def test_a_rotated_round_carries_the_public_seed_and_takes_padded_vectors(cast):
    cast.members(4)
    order = cast.order(d=9, rotated=True)
    header = Header.from_bytes(bytes(opening.open_round(job_id=cast.job_id, number=1, order=order).header))
    seed = rotation.seed_of(job=cast.job_id.bytes, number=1, checkpoint=bytes.fromhex(order.checkpoint_hash))
    assert header.rotation_seed == seed
    assert (header.d, header.padded_d) == (9, 16)


def test_a_round_names_a_known_rule(cast, call):
    cast.members(4)
    body = {**asdict(cast.order()), "rule": "krum"}
    path = f"{BASE}/jobs/{cast.job_id}/rounds/1"
    status, answer = call("collectives", "PUT", path, body)
    assert (status, "rule must be one of sum, filter" in answer["detail"]) == (400, True)
    assert call("collectives", "PUT", path, body | {"rule": "median"})[0] == 200
    assert Round.objects.get().rule == "median"
