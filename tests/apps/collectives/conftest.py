"""A collective that is ready to run jobs, and the roles it talks to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from typing import Any

import httpx
import pytest
from django.test import Client
from django.utils import timezone

from collectives import clients
from collectives.models import Admission, Algorithm, Collective, Job
from collectives.services import algorithms, jobs, rounds
from collectives.services.plan import JobPlan
from marketplace.accounts.models import Account
from tests.apps import cast
from tests.apps.collectives.double import Roles, Server
from tests.apps.collectives.wallet import Wallet
from tests.apps.kept import kept

RELEASE_MIN, BUCKET_MIN = 8, 4
RATE = cast.RATE


@dataclass
class Stage:
    """Alice's collective with an active algorithm and a few subscribers; development minima, no notice."""

    alice: Account
    ada: Account
    aron: Account
    collective: Collective
    algorithm: Algorithm
    admission: Admission
    wallets: list[Wallet] = field(default_factory=list)

    def plan(self, **changes: Any) -> JobPlan:
        return JobPlan(**{"cohort": 10, "bucket_size": 10, "optimiser": "sgd", "decay": False} | changes)

    def job(
        self, *, visits: int = 1000, rounds: int = 3, funded: bool = True, plan: JobPlan | None = None
    ) -> Job:
        job = jobs.create(
            actor=self.alice,
            collective=self.collective,
            algorithm=self.algorithm,
            max_rounds=rounds,
            visits_budget=visits,
            plan=plan or self.plan(),
        )
        if funded:
            jobs.mark_funded(job.pk)
        return job


@pytest.fixture
def minima(settings: Any) -> None:
    settings.DEVELOPMENT_MINIMA, settings.NOTICE_MIN_SECONDS = True, 0


@cache
def _wallets() -> tuple[Wallet, ...]:
    """The first subscribers' keys, the same for all tests of a process."""
    return tuple(Wallet() for _ in range(RELEASE_MIN))


def _stage() -> Stage:
    alice, ada, aron = cast.account("alice"), cast.account("ada"), cast.account("aron")
    collective = cast.register(
        alice,
        development=True,
        notice_seconds=0,
        bucket_min=BUCKET_MIN,
        release_min=RELEASE_MIN,
        silence="with",
    )
    algorithm = algorithms.submit(actor=aron, manifest=cast.MANIFEST)
    algorithms.approve(actor=ada, algorithm=algorithm)
    admission = algorithms.announce(actor=alice, collective=collective, algorithm=algorithm, reason="First.")
    for wallet in _wallets():
        wallet.subscribe(collective)
    cast.notices_arrive()
    algorithms.activate_due(timezone.now() + timedelta(seconds=5))
    admission.refresh_from_db()
    return Stage(
        alice=alice,
        ada=ada,
        aron=aron,
        collective=collective,
        algorithm=algorithm,
        admission=admission,
    )


@pytest.fixture
def stage(db: None, minima: None) -> Stage:
    return replace(kept("stage", _stage), wallets=[*_wallets()])


@pytest.fixture
def roles(settings: Any) -> Iterator[Roles]:
    made = Roles(d=17)
    server = Server(made)
    server.start()
    settings.DISTRIBUTOR_URL = settings.AGGREGATOR_URL = server.url
    clients._service.cache_clear()
    yield made
    clients._service.cache_clear()
    server.stop()


Drive = Callable[..., Job]


@pytest.fixture
def drive() -> Drive:
    """Steps until the job is over, or until `until(job)`; a step limit stands in for time."""

    def run(job: Job, *, until: Callable[[Job], bool] | None = None, steps: int = 80) -> Job:
        for _ in range(steps):
            outcome = rounds.drive(job.pk, timezone.now())
            job.refresh_from_db()
            if until is not None and until(job):
                return job
            if outcome == rounds.DONE:
                return job
        assert until is None, "never came true"
        return job

    return run


class Wire(httpx.BaseTransport):
    """Carries calls to the distributor's own views and database, or fails like a service that is down."""

    def __init__(self) -> None:
        self.down = False
        self.calls: list[tuple[str, str]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("nobody answers")
        self.calls.append((request.method, request.url.path))
        answer = Client().generic(
            request.method,
            request.url.raw_path.decode(),
            request.read(),
            content_type="application/json",
            headers={"Authorization": request.headers["Authorization"]},
        )
        return httpx.Response(answer.status_code, content=answer.content, headers=dict(answer.headers))


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    made = Wire()
    service = clients.Service("http://127.0.0.1", "/internal/distributor")
    service._client = httpx.Client(transport=made)
    monkeypatch.setattr(clients, "distributor", lambda: service)
    yield made
    service._client.close()


@pytest.fixture
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds that failed are followed at once."""
    monkeypatch.setattr(rounds, "REST_SECONDS", (0, 0))


@pytest.fixture
def nothing_a_real_role_would_refuse(roles: Roles) -> Iterator[None]:
    """The doubles kept count of what a real role would have refused."""
    yield
    assert roles.problems == []
