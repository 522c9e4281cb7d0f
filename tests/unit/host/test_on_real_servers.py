"""Hosted agents against the real distributor and aggregator: a whole job over real sockets, with the real databases."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings

from aggregation.wire import cbor
from collectives.terms.permit import Task
from collectives.training.checkpoint import checkpoint_hash
from tests.apps.roles.conftest import world as roles_fixture
from tests.apps.roles.world import PHASES
from tests.unit.agent import documents
from tests.unit.agent.world import World as Scripted
from wallets.agent.consent import Rule
from wallets.agent.journal import Kind
from wallets.agent.messages import HolderPolicy
from wallets.agent.round_line import Step
from wallets.host.faults import Fault, FaultKind
from wallets.host.host import Host
from wallets.host.lines import LineSession
from wallets.host.packed import PackedLauncher
from wallets.host.round_lines import PackedTransport
from wallets.host.spy import Spy

WALLETS = 12
roles = roles_fixture
pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")


class Market(Scripted):
    """The scripted collective's own API; sockets, payouts and keys are those of the real roles."""

    def __init__(self, roles: Any) -> None:
        super().__init__(development=True, bucket_min=4, release_min=8)
        self.roles = roles

    def description(self) -> dict[str, Any]:
        """As the real market would say it."""
        return {
            **super().description(),
            "distributor_key": django_settings.DISTRIBUTOR_KEY,
            "distributor_socket": f"{self.roles.ws}/ws/wallet/",
            "aggregator_key": django_settings.AGGREGATOR_KEY,
            "aggregator_seal_key": django_settings.AGGREGATOR_SEAL_PUBLIC_KEY,
            "aggregator_socket": f"{self.roles.ws}/ws/round/",
        }


class Job:
    """One job of twelve hosted wallets, driven through the service calls as the collective does."""

    def __init__(self, roles: Any, market: Market, host: Host) -> None:
        self.roles, self.market, self.host = roles, market, host
        self.id = str(uuid.uuid4())
        self.weights = np.zeros(3, "<f4")

    async def start(self) -> None:
        """Subscribe, announce, wait for the frozen log."""
        records = [{"height": i % 9 + 0.5, "weight": 9.5 - i % 9, "ill": i % 2 == 0} for i in range(WALLETS)]
        self.names = await self.host.create_wallets(records)
        collective = self.market.collective
        assert (await self.host.subscribe(self.names, collective.id))["subscribed"] == WALLETS
        base = f"/internal/distributor/collectives/{collective.id}/subscribers"
        for key, document in self.market.subscribers.items():
            body = {"terms_hash": document["terms_hash"], "expires": int(time.time()) + 10_000}
            await self.roles.ok("collectives", "PUT", f"{base}/{key.hex()}", body)
        path = f"/internal/distributor/jobs/{self.id}"
        made = await self.roles.ok("collectives", "PUT", path, {"collective_id": collective.id})
        envelope = collective.job(
            documents.now(),
            job_id=self.id,
            distributor_key=made["distributor_key"],
            aggregator_key=django_settings.AGGREGATOR_KEY,
            cohort_commitment=made["cohort_commitment"],
        )
        body = {"envelope": envelope, "enrol_seconds": 20}
        await self.roles.ok("collectives", "PUT", f"{path}/announcement", body)

        async def frozen() -> bool:
            return bool((await self.roles.ok("collectives", "GET", path))["state"] == "frozen")

        await self.roles.until(frozen)

    async def round(self, number: int) -> dict[str, Any]:
        """Open, dispatch and await one round of all wallets."""
        collective = self.market.collective
        manifest_hash = documents.manifest_hash(documents.MANIFEST)
        checkpoint = checkpoint_hash(bytes.fromhex(manifest_hash), number - 1, self.weights.tobytes())
        opened = await self.roles.ok(
            "collectives",
            "PUT",
            f"/internal/aggregator/jobs/{self.id}/rounds/{number}",
            {
                "manifest_hash": manifest_hash,
                "checkpoint_hash": checkpoint.hex(),
                "requirement_hash": collective.terms["requirement_hash"],
                "d": 3,
                "clip_micro": 1_000_000,
                "noise_micro": 50_000,
                "q": 20,
                "f": 12,
                "bucket_size": WALLETS,
                "bucket_min": 4,
                "release_min": 8,
                "cohort": WALLETS,
                "development": True,
                "phase_seconds": dict.fromkeys(PHASES, 20),
            },
        )
        body, signature = Task(
            collective=uuid.UUID(collective.id).bytes,
            job=uuid.UUID(self.id).bytes,
            round=number,
            header=base64.b64decode(opened["header"]),
            manifest=bytes.fromhex(manifest_hash),
            requirement=bytes.fromhex(collective.terms["requirement_hash"]),
            checkpoint=checkpoint,
            rate=int(collective.terms["rate"]),
            expires=int(time.time()) + 600,
        ).sign(collective.private)
        payload = cbor.encode({"manifest": documents.manifest_bytes(), "weights": self.weights.tobytes()})
        order = {
            "task_body": base64.b64encode(body).decode(),
            "task_sig": base64.b64encode(signature).decode(),
            "payload": base64.b64encode(payload).decode(),
            "cohort": WALLETS,
            "minimum": 8,
            "over_selection_ppm": 1_000_000,
            "max_deliveries": WALLETS,
            "accept_seconds": 5,
        }
        path = f"/internal/distributor/jobs/{self.id}/rounds/{number}"
        await self.roles.ok("collectives", "PUT", path, order)

        async def done() -> bool:
            return (await self.state(number))["state"] in {"released", "abandoned"}

        await self.roles.until(done, 60)
        await asyncio.sleep(0.5)  # the wallets hear the end a moment later
        return await self.state(number)

    async def state(self, number: int) -> dict[str, Any]:
        """The aggregator's answer about a round."""
        return dict(
            await self.roles.ok("collectives", "GET", f"/internal/aggregator/jobs/{self.id}/rounds/{number}")
        )

    async def sum(self, number: int) -> tuple[Any, int]:
        """The released sum and count."""
        path = f"/internal/aggregator/jobs/{self.id}/rounds/{number}/sum"
        answer = await self.roles.ok("collectives", "GET", path)
        return np.frombuffer(base64.b64decode(answer["sum"]), dtype="<i8"), answer["count"]


@pytest_asyncio.fixture
async def job(roles: Any, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Job]:
    packed = getattr(request, "param", "") == "packed"
    async with Market(roles) as market:
        host = Host(
            tmp_path / "host",
            now=documents.now,
            rng=secrets.token_bytes,
            server_document=market.description(),
            rule=Rule.HOST,
            policy=HolderPolicy(allow_development=True),
            spy=Spy(),
            launcher=PackedLauncher() if packed else None,
            packed=packed,
        )
        await host.start()
        made = Job(roles, market, host)
        await made.start()
        yield made
        await host.stop()


@pytest.mark.parametrize("job", ["packed"], indirect=True)
async def test_packed_wallets_share_a_line_and_workers_and_the_sum_is_still_the_plain_one(job: Job) -> None:
    sessions = [job.host.wallet(name).session for name in job.names]
    (line,) = {session.line for session in sessions if isinstance(session, LineSession)}
    assert line.keys == WALLETS
    assert line._socket is not None
    line._socket.abort()  # everybody comes back on another socket
    await asyncio.sleep(0.1)
    await asyncio.wait_for(asyncio.gather(*(session.connected.wait() for session in sessions)), 20)
    sessions[0].abort()  # this one alone leaves the line and comes back
    assert not sessions[0].connected.is_set()
    assert sessions[1].connected.is_set()
    await asyncio.wait_for(sessions[0].connected.wait(), 20)
    transport = job.host._transport
    assert isinstance(transport, PackedTransport)
    sockets: list[Any] = []

    async def cut_once() -> None:
        """The aggregator's socket that all of them share breaks in the middle of the round."""
        while not (lines := transport._rounds._lines):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.5)
        sockets.extend(line.socket for line in lines)
        for socket in sockets:
            socket.abort()

    cutting = asyncio.create_task(cut_once())
    state = await job.round(1)
    await cutting
    assert len(sockets) == 1 < WALLETS
    assert state["state"] == "released", state
    released, count = await job.sum(1)
    assert job.host.spy is not None
    expected, included = job.host.spy.total(job.id, 1)
    assert count == included == WALLETS
    assert np.array_equal(released, expected)
    assert state["receipts"] == WALLETS
    for name in job.names:
        outcomes = await job.host.wallet(name).journal.entries(kinds=[Kind.OUTCOME])
        assert [entry.code for entry in outcomes] == ["released"]
    addresses = await sync_to_async(_payout_addresses)()
    assert addresses == WALLETS


@pytest.mark.parametrize("job", ["apart", "packed"], indirect=True)
async def test_a_round_with_deaths_cuts_poverty_failure_and_a_leaver(job: Job) -> None:
    for kind, after in (
        (FaultKind.DIE, Step.SHARE_KEYS),
        (FaultKind.CUT, Step.ADVERTISE),
        (FaultKind.CUT, Step.MASKED_INPUT),
        (FaultKind.LOSE_DATA, Step.JOINED),
    ):
        job.host.faults.add(Fault(round=1, kind=kind, after=after))
    state = await job.round(1)
    assert state["state"] == "released", state
    released, count = await job.sum(1)
    assert job.host.spy is not None
    expected, included = job.host.spy.total(job.id, 1)
    assert count == included == WALLETS - 2
    assert np.array_equal(released, expected)
    assert state["receipts"] == WALLETS - 1  # who died had proven presence; who had no data is not paid
    leaver = job.names[-1]
    await job.host.revoke(leaver, job.market.collective.id)
    again = await job.round(2)
    assert again["state"] == "released", again
    poor = job.host.faults.faults[3].suffered[0]
    assert again["receipts"] == WALLETS - len({leaver, poor})
    refused = await job.host.wallet(leaver).journal.entries(kinds=[Kind.REFUSED])
    assert refused[-1].code == "no_permit"


async def test_half_an_input_and_a_silence_hold_up_nobody_else(job: Job) -> None:
    half = Fault(round=1, kind=FaultKind.HALF)
    silence = Fault(round=1, kind=FaultKind.STALL, after=Step.ADVERTISE, seconds=2)
    job.host.faults.add(half)
    job.host.faults.add(silence)
    state = await job.round(1)
    assert (len(half.suffered), len(silence.suffered)) == (1, 1)
    assert state["state"] == "released", state
    released, count = await job.sum(1)
    assert job.host.spy is not None
    expected, included = job.host.spy.total(job.id, 1)
    assert count == included == WALLETS - 1
    assert np.array_equal(released, expected)
    assert state["receipts"] == WALLETS


def _payout_addresses() -> int:
    from aggregation.server.models import PayoutAddress

    return PayoutAddress.objects.count()
