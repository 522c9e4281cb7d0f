"""Jobs whose wallets do not send a gradient: what is asked for, and what the sums become."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from aggregation.privacy import rotation
from collectives import selectors
from collectives.errors import CollectiveError
from collectives.services import algorithms, jobs
from collectives.terms.algorithm import output_length, parse_manifest, stack
from collectives.training import outcome, ridge, statistics
from collectives.training.update import ServerState, step
from tests.apps import cast
from tests.apps.collectives.conftest import Drive, Stage
from tests.apps.collectives.double import Roles, Script
from tests.apps.collectives.driving import F, balanced, weights

pytestmark = pytest.mark.usefixtures("no_rest", "nothing_a_real_role_would_refuse")
BASE = {name: cast.MANIFEST[name] for name in ("version", "name", "purpose", "inputs", "width_in")}
MODEL = {name: cast.MANIFEST[name] for name in ("target", "width_out", "layers", "loss")}
FEATURES = {
    **MODEL,
    "loss": "mse",
    "layers": [{"op": "random", "out": 3, "seed": "5a" * 32}, {"op": "tanh"}, *stack([1])],
}


def output(kind: str, **more: int) -> dict[str, Any]:
    return {"output": {"kind": kind, "clip_micro": 1_000_000, **more}}


KINDS: dict[str, dict[str, Any]] = {
    "elm-statistics": {**BASE, **FEATURES, **output("elm-statistics", ridge_micro=1_000_000)},
    "mean": {**BASE, **output("mean")},
    "evaluation": {**BASE, **MODEL, **output("evaluation", bins=4)},
}


def admitted(stage: Stage, kind: str, roles: Roles) -> Stage:
    """The same stage with an active algorithm of that kind."""
    algorithm = algorithms.submit(actor=stage.aron, manifest=KINDS[kind])
    algorithms.approve(actor=stage.ada, algorithm=algorithm)
    admission = algorithms.announce(
        actor=stage.alice, collective=stage.collective, algorithm=algorithm, reason="Another kind."
    )
    cast.notices_arrive()
    algorithms.activate_due(timezone.now() + timedelta(seconds=5))
    algorithm.refresh_from_db()
    admission.refresh_from_db()
    roles.d = output_length(parse_manifest(KINDS[kind]))
    return replace(stage, algorithm=algorithm, admission=admission)


def state(job: Any, number: int) -> ServerState:
    found = job.checkpoints.get(number=number)
    return ServerState.from_bytes(bytes(found.weights), bytes(found.moments))


def test_the_sums_of_two_rounds_are_solved_once(stage: Stage, roles: Roles, drive: Drive) -> None:
    stage = admitted(stage, "elm-statistics", roles)
    roles.scripts[2] = Script(survivors=8)
    job = drive(stage.job(rounds=2))

    assert (job.status, job.reason) == ("completed", "all 2 rounds are done")
    assert roles.opened[str(job.pk), 1]["order"]["d"] == 4 * 5 // 2 + 4
    assert weights(job, 0).size == weights(job, 2).size == stage.algorithm.parameters == 4
    manifest = parse_manifest(stage.algorithm.manifest)
    total = (roles.values(1) + roles.values(2)) / 2**F
    noise = 0.05 * np.sqrt(18)  # a share of 0.05 from each of ten and of eight wallets
    second, cross = statistics.moments(manifest, total)
    solved = ridge.solve(second, cross, penalty=0.25, noise=noise, constant=True) / 2
    np.testing.assert_allclose(weights(job, 2), solved[:, 0], rtol=1e-5)
    assert state(job, 2).second[0] == 18
    balanced(job)


def test_a_query_ends_with_the_mean_over_all_its_wallets(stage: Stage, roles: Roles, drive: Drive) -> None:
    stage = admitted(stage, "mean", roles)
    job = drive(stage.job(rounds=2))

    expected = (roles.values(1) + roles.values(2)) / (2**F * 20)
    np.testing.assert_allclose(weights(job, 2), expected, rtol=1e-6)
    found = outcome.findings(parse_manifest(stage.algorithm.manifest), state(job, 2))
    assert found["wallets"] == 20
    assert found["noise"] == pytest.approx(0.05 / np.sqrt(20))
    np.testing.assert_allclose(found["mean"], expected, atol=1e-6)


def test_a_rotated_sum_is_turned_back_before_it_is_used(stage: Stage, roles: Roles, drive: Drive) -> None:
    """The seed is the one the round's header has: it follows from job, round and checkpoint."""
    d, plan = roles.d, replace(stage.plan(), rotated=True)
    roles.d = rotation.padded(d)
    job = drive(stage.job(rounds=1, plan=plan))

    assert job.status == "completed"
    order = roles.opened[str(job.pk), 1]["order"]
    assert (order["rotated"], order["d"]) == (True, d)
    seed = rotation.seed_of(job=job.pk.bytes, number=1, checkpoint=bytes.fromhex(order["checkpoint_hash"]))
    mean = rotation.unrotate(roles.values(1) / (2**F * 10), seed, d)
    expected = step(
        ServerState.start(weights(job, 0)),
        mean,
        optimiser=plan.optimiser,
        learning_rate_micro=plan.learning_rate_micro,
        decay_rounds=1,
    )
    assert np.array_equal(weights(job, 1), expected.weights)
    assert (d, roles.d) == (17, 32)


def test_an_evaluation_judges_the_model_of_another_job(stage: Stage, roles: Roles, drive: Drive) -> None:
    trained = drive(stage.job(rounds=1))
    judge = admitted(stage, "evaluation", roles)
    job = jobs.create(
        actor=stage.alice,
        collective=stage.collective,
        algorithm=judge.algorithm,
        max_rounds=1,
        visits_budget=100,
        plan=stage.plan(),
        judged=trained.checkpoints.get(number=1),
    )
    jobs.mark_funded(job.pk)
    drive(job)

    assert roles.opened[str(job.pk), 1]["order"]["d"] == 10
    for number in (0, 1):
        assert np.array_equal(weights(job, number), weights(trained, 1))
    found = outcome.findings(parse_manifest(judge.algorithm.manifest), state(job, 1))
    mean = roles.values(1) / (2**F * 10)
    assert found["accuracy"] == pytest.approx(mean[1])
    assert found["log_loss"] == pytest.approx(mean[0] * statistics.LOSS_UNIT)
    rounds = list(selectors.closed_rounds(stage.collective.pk))
    told = selectors.judged(rounds)
    assert {row.job_id for row in rounds} == {trained.pk, job.pk}, "a training round measured nothing"
    assert {pk: said.loss for pk, said in told.items()} == {
        job.rounds.get().pk: pytest.approx(found["log_loss"])
    }


def test_an_evaluation_needs_a_model_that_fits_and_nothing_else_takes_one(
    stage: Stage, roles: Roles, drive: Drive
) -> None:
    trained = drive(stage.job(rounds=1)).checkpoints.get(number=1)
    solved = drive(admitted(stage, "elm-statistics", roles).job(rounds=1)).checkpoints.get(number=1)
    judge = admitted(stage, "evaluation", roles)

    def order(algorithm: Any, judged: Any) -> Any:
        return jobs.create(
            actor=stage.alice,
            collective=stage.collective,
            algorithm=algorithm,
            max_rounds=1,
            visits_budget=100,
            plan=stage.plan(),
            judged=judged,
        )

    for algorithm, judged in ((judge.algorithm, None), (judge.algorithm, solved), (stage.algorithm, trained)):
        with pytest.raises(CollectiveError) as refused:
            order(algorithm, judged)
        assert refused.value.code == "bad_model"
