"""Jobs with options of their plan, live: the collective's own driver, both roles on sockets, wallets with the agent's own output contract.

Wallets here are scripted (`wallet.py`): the real secure aggregation client, the sandbox's own function and `wallets.agent.output` between
them. Whatever the option changes is recomputed from the outside by published rules and compared bit for bit.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.utils import timezone

from aggregation.privacy import adaptive, pipeline, rotation
from collectives import clients
from collectives.models import Checkpoint, Job
from collectives.models.jobs import ENDED
from collectives.services import algorithms, jobs, rounds
from collectives.terms.algorithm import parse_manifest
from collectives.training.init import uniform
from collectives.training.net import compute_update
from collectives.training.update import ServerState, step
from marketplace.jobs import services
from marketplace.jobs.models import Order
from marketplace.jobs.plateau import Plateau
from tests.apps import cast
from tests.apps.collectives.conftest import Stage, minima, stage
from tests.apps.roles.wallet import Wallet
from tests.apps.roles.world import World
from wallets.agent import output, rules

__all__ = ["minima", "stage"]
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "distributor", "aggregator"])
SECONDS = dict.fromkeys(("advertise", "share_keys", "masked_input", "consistency", "unmask"), 20)


async def beside(work: Callable[[], Any]) -> Any:
    """In a thread that the servers do not need: it asks them, and waits."""

    def alone() -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    return await sync_to_async(alone, thread_sensitive=False)()


class Line(World):
    """Wallets that answer the job of a real collective; the one job here is not known before it is driven."""

    stage: Stage

    def update(self, wallet: Wallet, number: int) -> Any:
        """What an agent sends of this wallet's record: the sandbox's function, then the output contract."""
        assert wallet.asked is not None
        payload, header = wallet.asked.payload, wallet.asked.header
        manifest = parse_manifest(payload["manifest"])
        assert rules.objection(manifest, header) is None
        weights = np.frombuffer(payload["weights"], dtype="<f4")
        x = uniform(wallet.number.to_bytes(16), manifest.width_in, 1.0)[np.newaxis]
        y = np.full((1, 1), wallet.number % 2, dtype="<f4")
        raw = compute_update(manifest, weights, x, y)
        return output.contract(
            np.ascontiguousarray(raw, dtype="<f4").tobytes(),
            header,
            os.urandom,
            marked=rules.marked(manifest, header),
        )

    async def come(self, count: int) -> None:
        """So many wallets subscribe at the distributor and connect."""
        self.wallets = [Wallet(self, number) for number in range(count)]
        base = f"/internal/distributor/collectives/{self.stage.collective.pk}/subscribers"
        for wallet in self.wallets:
            body = {"terms_hash": os.urandom(32).hex(), "expires": int(time.time()) + 10_000}
            await self.ok("collectives", "PUT", f"{base}/{wallet.public.hex()}", body)
            wallet.start()
        await asyncio.gather(*(wallet.connected.wait() for wallet in self.wallets))

    async def drive(self, **plan: Any) -> tuple[Job, list[Checkpoint]]:
        """A funded job with this plan from its first step to its end."""
        options = {"phase_seconds": SECONDS, "accept_seconds": 5, "enrol_seconds": 20} | plan
        job = await sync_to_async(self.stage.job)(rounds=2, plan=self.stage.plan(**options))
        async with asyncio.timeout(60):
            while await beside(lambda: rounds.drive(job.pk, timezone.now())) != rounds.DONE:
                await asyncio.sleep(0.05)
        await sync_to_async(job.refresh_from_db)()
        assert job.status == "completed", job.reason
        return job, await sync_to_async(lambda: list(job.checkpoints.all()))()

    def mean(self, job: Job, latest: Checkpoint) -> Any:
        """The mean of round `latest.number + 1` as its wallets sent it, float64 [d]."""
        number = latest.number + 1
        sent = [wallet.updates[number] for wallet in self.wallets if number in wallet.updates]
        header = next(wallet.headers[number] for wallet in self.wallets if number in wallet.headers)
        seed = rotation.seed_of(job=job.pk.bytes, number=number, checkpoint=bytes.fromhex(latest.hash))
        assert header.rotation_seed in (b"", seed)
        total = np.sum(sent, axis=0)
        return pipeline.recover(
            total, count=len(sent), fraction_bits=header.f, d=header.d, rotation_seed=header.rotation_seed
        )


@pytest.fixture
def line(world: World, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The world of both roles, with the collective that drives."""
    monkeypatch.setattr(rounds, "REST_SECONDS", (0, 0))
    clients._service.cache_clear()
    world.__class__ = Line
    assert isinstance(world, Line)
    world.stage = stage
    yield world
    clients._service.cache_clear()


def follows(job: Job, before: Checkpoint, after: Checkpoint, mean: Any) -> None:
    """The checkpoint is the published step from the one before it."""
    start = ServerState.from_bytes(bytes(before.weights), bytes(before.moments))
    made = step(start, mean, optimiser="sgd", learning_rate_micro=200_000)
    assert np.array_equal(np.frombuffer(bytes(after.weights), "<f4"), made.weights)


async def test_a_rotated_job_is_turned_by_wallets_and_turned_back_by_the_collective(line: Line) -> None:
    await line.come(11)
    job, made = await line.drive(rotated=True)

    for before, after in pairwise(made):
        header = line.wallets[0].headers[after.number]
        assert (header.d, header.padded_d, len(header.rotation_seed)) == (17, 32, 32)
        follows(job, before, after, line.mean(job, before))
    assert len(made) == 3


async def test_an_adaptive_clip_follows_the_norms_that_wallets_mark(line: Line) -> None:
    """The first round clips by the algorithm's bound; the second by what the marks of the first made of it."""
    await line.come(11)
    job, made = await line.drive(clip_quantile_ppm=500_000, rotated=True)

    clip = 1_000_000
    for before, after in pairwise(made):
        header = line.wallets[0].headers[after.number]
        assert (header.d, header.clip_micro) == (18, clip)
        most = adaptive.inner_bound(1.0, adaptive.Rule())
        rule = adaptive.Rule(target=0.5, most=most)
        mean = line.mean(job, before)
        update, bound, share = adaptive.next_bound(adaptive.inner_bound(clip / 1e6, rule), mean, rule)
        follows(job, before, after, update)
        assert share > 0.75  # gradients of this model are shorter than 1
        clip = math.floor(bound * rule.sensitivity_factor * 1e6)
        assert after.clip_micro == clip < header.clip_micro
    assert line.wallets[0].headers[2].noise_micro < line.wallets[0].headers[1].noise_micro


@pytest.mark.long
async def test_coins_draw_every_wallet_by_itself_and_nobody_in_anothers_place(line: Line) -> None:
    from wallets.distributor.models import Enrolment, Invitation
    from wallets.distributor.models import Job as Drawn
    from wallets.distributor.services import draw

    await line.come(20)
    for wallet in line.wallets[:3]:
        wallet.script["decline"] = True
    job, made = await line.drive(poisson=True, cohort=12, over_selection_ppm=1_200_000)

    def invited(number: int) -> tuple[set[str], set[str]]:
        drawn = Drawn.objects.get(pk=job.pk)
        keys = Enrolment.objects.filter(job=drawn).values_list("job_key", flat=True)
        below = 750_000 * 2**64 // 10**6
        coins = {key for key in keys if int.from_bytes(draw.ranking(drawn, number)(key)[:8], "big") < below}
        rows = Invitation.objects.filter(round__job=drawn, round__number=number)
        return set(rows.values_list("enrolment__job_key", flat=True)), coins

    assert job.enrolled == 20
    numbers = await sync_to_async(lambda: list(job.rounds.values_list("number", flat=True)))()
    for number in numbers:
        came, coins = await sync_to_async(invited)(number)
        assert came == coins
    for before, after in pairwise(made):
        follows(job, before, after, line.mean(job, before))


@pytest.mark.long
async def test_a_job_stops_where_other_wallets_find_it_no_better(line: Line) -> None:
    """Each round's model is judged by a job of its own; with one evaluation a window, the second one ends the training."""
    carla, judge = await sync_to_async(market)(line.stage)
    await line.come(11)
    plan = line.stage.plan(phase_seconds=SECONDS, accept_seconds=5, enrol_seconds=20, learning_rate_micro=1)
    trained = await sync_to_async(services.order)(
        consumer=carla,
        collective_id=line.stage.collective.pk,
        manifest_hash=line.stage.algorithm.manifest_hash,
        budget=cast.RATE * 1000,
        max_rounds=40,
        plan=plan,
        plateau=Plateau(evaluation=judge.manifest_hash, every=1, window=1),
    )
    async with asyncio.timeout(120):
        while await beside(lambda: once(trained)) not in ENDED:
            await asyncio.sleep(0.02)

    job = await sync_to_async(Job.objects.get)(pk=trained.job_id)
    assert job.status == "stopped", job.reason
    assert job.reason.startswith("no better for 1 evaluations by other wallets: a loss of 0.")
    evaluations = await sync_to_async(lambda: list(trained.evaluations.order_by("judged_number")))()
    assert len(evaluations) >= 2
    assert {int(one.budget) for one in evaluations} == {11 * cast.RATE}
    for one in evaluations:
        judged = await sync_to_async(job.checkpoints.get)(number=one.judged_number)
        found = await sync_to_async(Job.objects.get)(pk=one.job_id)
        first = await sync_to_async(found.checkpoints.first)()
        assert bytes(first.weights) == bytes(judged.weights)


def market(stage: Stage) -> tuple[Any, Any]:
    """A consumer, and an evaluation of the stage's algorithm that its collective has announced."""
    asked = {key: value for key, value in cast.MANIFEST.items() if key != "training"}
    output_ = {"kind": "evaluation", "clip_micro": 1_732_051, "bins": 4}
    judge = algorithms.submit(actor=stage.aron, manifest=asked | {"name": "Judge", "output": output_})
    algorithms.approve(actor=stage.ada, algorithm=judge)
    algorithms.announce(actor=stage.alice, collective=stage.collective, algorithm=judge, reason="To judge.")
    cast.notices_arrive()
    algorithms.activate_due(timezone.now() + timedelta(seconds=5))
    return cast.account("carla"), judge


def once(trained: Order) -> str:
    """One look of the market and one step of every job. Escrows are asked for here, and confirmed as the chain would."""
    services.advance_orders()
    for job in Job.objects.exclude(status__in=ENDED):
        if job.status == "validated":
            jobs.mark_funded(job.pk)
        rounds.drive(job.pk, timezone.now())
    return str(Job.objects.get(pk=trained.job_id).status)
