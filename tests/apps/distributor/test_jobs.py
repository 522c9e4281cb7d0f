"""Enrolment: who is asked, what is accepted, when the log freezes, what the aggregator is told."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import replace

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from aggregation.secagg.errors import ProtocolError
from aggregation.secagg.server import MemberLog, accept_enrolment
from aggregation.wire import signing
from tests.apps.distributor.conftest import said
from wallets.distributor import clients, config, selectors
from wallets.distributor.errors import AggregatorDown, Conflict
from wallets.distributor.models import Enrolment, Job
from wallets.distributor.services import answers, jobs, routes
from wallets.distributor.services.answers import Answer, Verb

pytestmark = pytest.mark.django_db(databases=["distributor"])


def test_the_cohort_key_is_committed_to_before_the_freeze(cast):
    job = jobs.create(job_id=cast.job_id, collective_id=cast.collective_id)
    assert job.cohort_commitment == hashlib.sha256(bytes(job.cohort_key)).hexdigest()
    assert (
        jobs.create(job_id=cast.job_id, collective_id=cast.collective_id).cohort_commitment
        == job.cohort_commitment
    )
    with pytest.raises(Conflict):
        jobs.create(job_id=cast.job_id, collective_id=cast.job_id)


def test_the_log_freezes_when_all_answered_and_the_aggregator_is_told(cast):
    job = cast.frozen_job(7)
    assert (job.state, job.log_size, job.members_told) == ("frozen", 7, True)
    ((name, body),) = cast.told
    assert name == "members"
    enrolments = [
        accept_enrolment(
            base64.b64decode(data),
            job=job.id.bytes,
            collective=cast.collective_id.bytes,
            manifest_hash=cast.manifest,
            now=config.now(),
        )
        for data in body["enrolments"]
    ]
    log = MemberLog(job=job.id.bytes, enrolments=enrolments)
    assert log.root.hex() == job.log_root == body["log_root"]
    statement = {"job": job.id.bytes, "root": log.root, "size": 7}
    signing.verify(config.public_key(), b"cssi/v1/log", statement, base64.b64decode(body["signature"]))
    assert selectors.job_state(job.id)["state"] == "frozen"


def test_the_log_freezes_at_the_deadline_without_the_silent(cast, monkeypatch):
    cast.subscribe(3)
    cast.announce(seconds=5)
    assert cast.enrol(cast.subscriptions[0]) is None
    jobs.step(cast.job_id)
    assert Job.objects.get().state == "enrolling"
    later = config.now() + 6
    monkeypatch.setattr(config, "now", lambda: later)
    jobs.step(cast.job_id)
    assert (Job.objects.get().state, Job.objects.get().log_size) == ("frozen", 1)
    assert cast.enrol(cast.subscriptions[1]).code == "late"


def test_members_are_told_again_until_the_aggregator_answers(cast, monkeypatch):
    cast.subscribe(2)
    cast.announce()
    for secret in cast.subscriptions:
        cast.enrol(secret)

    def down(job_id, body):
        raise AggregatorDown("down")

    with monkeypatch.context() as patch:
        patch.setattr(clients, "put_members", down)
        with pytest.raises(AggregatorDown):
            jobs.step(cast.job_id)
    assert selectors.job_state(cast.job_id)["state"] == "enrolling"
    root = Job.objects.get().log_root
    jobs.step(cast.job_id)
    assert selectors.job_state(cast.job_id)["state"] == "frozen"
    assert Job.objects.get().log_root == root


@pytest.mark.parametrize("field", ["job", "collective", "manifest_hash", "expires"])
def test_an_enrolment_for_something_else_is_refused(cast, field):
    cast.subscribe(1)
    cast.announce()
    wrong = {
        "job": os.urandom(16),
        "collective": os.urandom(16),
        "manifest_hash": os.urandom(32),
        "expires": 77,
    }
    assert cast.enrol(cast.subscriptions[0], **{field: wrong[field]}).code == "wrong_enrolment"
    assert Enrolment.objects.get().state == "asked"


def test_an_enrolment_by_another_key_or_with_a_taken_job_key_is_refused(cast):
    cast.subscribe(2)
    cast.announce()
    first, second = cast.subscriptions
    row = Enrolment.objects.get(subscription_key=signing.public_key(first).hex())
    assert cast.answer(second, answers_verb(), bytes(row.ident), cast.enrolment(second)).code == "unknown"
    assert (
        cast.answer(first, answers_verb(), bytes(row.ident), cast.enrolment(second)).code == "wrong_enrolment"
    )
    job_key = signing.public_key(signing.generate(os.urandom))
    assert cast.enrol(first, job_key=job_key) is None
    assert cast.enrol(second, job_key=job_key).code == "job_key_taken"


def enrolments(cast, secrets, **changed):
    rows = {row.subscription_key: row for row in Enrolment.objects.filter(job_id=cast.job_id)}
    keys = [signing.public_key(secret).hex() for secret in secrets]
    return [
        Answer(
            verb=Verb.ENROL,
            ident=bytes(rows[key].ident),
            keys=frozenset({key}),
            body=cast.enrolment(secret, **changed),
        )
        for key, secret in zip(keys, secrets, strict=True)
    ]


def test_of_two_that_bring_one_job_key_in_one_batch_the_first_has_it(cast):
    cast.subscribe(3)
    cast.announce()
    job_key = signing.public_key(signing.generate(os.urandom))
    first, second, third = enrolments(cast, cast.subscriptions, job_key=job_key)
    malformed = replace(third, body=b"\xa0")
    outcomes = answers.record([first, second, malformed])
    assert outcomes[0] is None
    assert outcomes[1].code == "job_key_taken"
    assert isinstance(outcomes[2], ProtocolError)
    assert list(Enrolment.objects.filter(state="enrolled").values_list("subscription_key", flat=True)) == [
        *first.keys
    ]


def test_more_enrolments_in_a_batch_are_not_more_queries(cast):
    cast.subscribe(14)
    cast.announce()
    spent = []
    for some in (cast.subscriptions[:2], cast.subscriptions[2:12]):
        batch = enrolments(cast, some)
        with CaptureQueriesContext(connections["distributor"]) as queries:
            assert answers.record(batch) == [None] * len(some)
        spent.append(len(queries))
    assert spent[0] == spent[1]


def answers_verb():
    from wallets.distributor.services.answers import Verb

    return Verb.ENROL


def test_a_stopped_subscriber_is_neither_asked_nor_kept_waiting_for(cast):
    keys = cast.subscribe(3)
    cast.announce()
    routes.stop_subscriber(collective_id=cast.collective_id, key=keys[0], notify=True)
    waiting = selectors.waiting_for(keys)
    assert {item.key for item in waiting if said(item)["t"] == "job"} == set(keys[1:])
    assert [said(item)["kind"] for item in waiting if item.key == keys[0]] == ["revoked"]
    for secret in cast.subscriptions[1:]:
        cast.enrol(secret)
    jobs.step(cast.job_id)
    assert Job.objects.get().log_size == 2
    with pytest.raises(Conflict):
        cast.add(cast.collective_id, keys[0])


def test_a_key_serves_one_collective_only(cast):
    (key,) = cast.subscribe(1)
    with pytest.raises(Conflict):
        cast.add(cast.job_id, key)
