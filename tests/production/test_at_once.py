"""Several workers at one row, which SQLite never shows: it lets one transaction write at a time, PostgreSQL lets them meet."""

from __future__ import annotations

import os
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from aggregation.server import models as rounds
from aggregation.server.services import lease as round_lease
from collectives.errors import ServiceUnavailable
from collectives.models import OutgoingCall
from collectives.services import outgoing
from marketplace.settlement import outbox
from marketplace.settlement.keys import signer
from marketplace.settlement.models import ChainTransaction, Signer
from tests.apps.settlement.conftest import ChainProcess, devchain
from wallets.distributor import config as distributor_config
from wallets.distributor.models import Enrolment, Invitation, Job, Presence, Round
from wallets.distributor.services import answers, presence
from wallets.distributor.services import rounds as cohorts

__all__ = ["devchain"]
WORKERS = 4


def together(work: Callable[[int], Any], workers: int = WORKERS) -> list[Any]:
    """Run `work(number)` in several threads that start at the same moment, each with connections of its own."""
    start = threading.Barrier(workers)

    def one(number: int) -> Any:
        start.wait(10)
        try:
            return work(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(one, range(workers)))


@pytest.mark.django_db(transaction=True)
def test_this_is_postgresql() -> None:
    assert connection.vendor == "postgresql"


@pytest.mark.django_db(transaction=True)
def test_many_workers_send_each_transaction_once_and_leave_no_gap_in_the_nonces(
    devchain: ChainProcess,
) -> None:
    to = "0x" + "11" * 20
    for number in range(12):
        outbox.enqueue(key=f"gift:{number}", purpose="admin", to=to, data=b"", gas=21_000, value=number + 1)

    def work(_: int) -> None:
        while ChainTransaction.objects.exclude(state=ChainTransaction.State.CONFIRMED).exists():
            outbox.sweep()

    together(work)
    rows = list(ChainTransaction.objects.all())
    assert sorted(row.nonce for row in rows) == list(range(12))
    assert {row.state for row in rows} == {ChainTransaction.State.CONFIRMED}
    assert Signer.objects.get().next_nonce == 12
    link = outbox.chain()
    assert link.nonce(signer("admin").address()) == 12
    assert {link.receipt(row.hash).ok for row in rows} == {True}


@pytest.mark.django_db(transaction=True)
def test_many_workers_deliver_each_call_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        with transaction.atomic():
            outgoing.enqueue(key=f"call:{number}", method="PUT", path=f"/x/{number}")
    OutgoingCall.objects.update(not_before=timezone.now())
    seen: Counter[str] = Counter()
    lock = threading.Lock()

    class Distributor:
        """Takes calls and counts them; the third it hears, it is down."""

        def call(self, method: str, path: str, body: Any) -> None:
            with lock:
                seen[path] += 1
                if sum(seen.values()) == 3:
                    raise ServiceUnavailable("The distributor does not answer.")

    monkeypatch.setattr(outgoing.clients, "distributor", Distributor)
    together(lambda _: outgoing.flush())
    OutgoingCall.objects.update(not_before=timezone.now())
    together(lambda _: outgoing.flush())
    assert OutgoingCall.objects.filter(status=OutgoingCall.Status.DONE).count() == 30
    assert sorted(seen.values()) == [1] * 29 + [2]


@pytest.mark.django_db(transaction=True, databases=["aggregator"])
def test_one_worker_at_a_time_has_the_lease_of_a_round() -> None:
    job = rounds.Job.objects.create(
        collective_id=uuid.uuid4(), rate=1, manifest_hash="", log_root="", log_size=0, created=0
    )
    row = rounds.Round.objects.create(job=job, number=1, header=b"", cohort=1, created=0, since=0, deadline=0)
    holding, most = [], []
    done = threading.Event()

    def work(_: int) -> int | None:
        with round_lease.claim(row.pk) as lease:
            if lease is None:
                return None
            holding.append(lease.fence)
            most.append(len(holding))
            done.wait(0.3)
            holding.pop()
            return lease.fence

    fences = [fence for fence in together(work, workers=6) if fence is not None]
    assert max(most) == 1
    assert len(fences) == len(set(fences)) >= 1
    row.refresh_from_db()
    assert row.lease_until == 0
    assert row.fence == max(fences)


@pytest.mark.django_db(transaction=True, databases=["distributor"])
def test_the_same_wallets_seen_by_several_processes_at_once_are_written_without_a_deadlock() -> None:
    keys = [os.urandom(32).hex() for _ in range(600)]

    def work(number: int) -> None:
        turned = keys[number * 100 :] + keys[: number * 100]  # each in another order, as sockets come
        for connected in (True, False, True):
            presence.note(dict.fromkeys(turned, connected))

    together(work)
    rows = Presence.objects.filter(key__in=keys, connected=True, last_seen__gte=distributor_config.now() - 60)
    assert rows.count() == 600


@pytest.mark.django_db(transaction=True, databases=["distributor"])
def test_an_acceptance_that_meets_the_counting_of_a_cohort_is_not_visited_beyond_what_was_reserved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The third of three reserved visits is counted while two more wallets accept: they are late, however the two transactions meet."""
    row, invitations = a_round_inviting(wanted=3, accepted=3, invited=2)
    late = [
        answers.Answer(
            verb=answers.Verb.ACCEPT,
            ident=bytes(item.ident),
            keys=frozenset({item.enrolment.subscription_key}),
        )
        for item in invitations[3:]
    ]
    counted, results = threading.Event(), []

    def accept() -> None:
        counted.wait(10)
        try:
            results.extend(answers.record(late))
        finally:
            connections.close_all()

    others = threading.Thread(target=accept)
    others.start()
    fix = cohorts._fix_cohort

    def fix_while_others_accept(round_: Any) -> None:
        counted.set()
        others.join(1.0)  # without a lock their answers are written here
        fix(round_)

    monkeypatch.setattr(cohorts, "_fix_cohort", fix_while_others_accept)
    cohorts._decide(row.pk)
    others.join(10)
    states = Counter(Invitation.objects.values_list("state", flat=True))
    assert states == {"accepted": 3, "declined": 2}
    assert [result.code for result in results] == ["late", "late"]


def a_round_inviting(*, wanted: int, accepted: int, invited: int) -> tuple[Round, list[Invitation]]:
    job = Job.objects.create(
        collective_id=uuid.uuid4(), cohort_key=bytes(32), created=0, log_root="00" * 32, state="frozen"
    )
    row = Round.objects.create(
        job=job,
        number=1,
        task_body=b"",
        task_signature=b"",
        header=b"",
        cohort=wanted,
        minimum=1,
        wanted=wanted,
        max_deliveries=wanted,
        accept_until=distributor_config.now() + 60,
        expires=distributor_config.now() + 600,
        created=0,
    )
    made = []
    for number in range(accepted + invited):
        key = os.urandom(32).hex()
        member = Enrolment.objects.create(
            job=job,
            subscription_key=key,
            ident=os.urandom(16),
            job_key=os.urandom(32).hex(),
            index=number,
            state="enrolled",
        )
        state = "accepted" if number < accepted else "invited"
        made.append(
            Invitation.objects.create(
                round=row, enrolment=member, ident=os.urandom(16), ticket=os.urandom(16), state=state
            )
        )
    return row, made
