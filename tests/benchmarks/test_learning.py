"""The learning targets, on the simulation that uses the system's own code; `learning_sim.py` says what it leaves out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from marketplace.demo.datasets import breast_cancer
from marketplace.demo.job_performance import job_performance
from marketplace.demo.plan import default_plan
from tests.benchmarks.learning_sim import learn, main, once, with_algorithm


@pytest.mark.parametrize("dropouts", [pytest.param(0.0, marks=pytest.mark.long), 0.1])
def test_wallets_learn_as_well_as_one_place_with_all_records(dropouts: float) -> None:
    data = breast_cancer()

    run = learn(data, default_plan(len(data.train)), seed=0, dropouts=dropouts)

    assert run.accuracy_gap <= 0.02
    assert run.auc_gap <= 0.02
    assert abs(run.central.auc - 0.981) <= 0.01, "the yardstick agrees with the published logistic regression"
    assert run.noise_floor >= 0.1
    assert run.largest < 2**31


@pytest.mark.long
def test_the_seeds_example_is_learned_better_than_chance() -> None:
    data = job_performance(people=500, seed=3)

    run = learn(data, default_plan(len(data.train)), seed=3)

    assert run.federated.auc > 0.55
    assert run.auc_gap <= 0.02


@pytest.mark.parametrize("name", ["extreme-learning-machine", "ridge-regression"])
def test_one_visit_to_each_wallet_is_enough_for_statistics(name: str) -> None:
    data = with_algorithm(breast_cancer(), name)

    run = learn(data, once(data, default_plan(447)), seed=0)

    assert run.visits == 447
    assert run.auc_gap <= 0.02 and run.federated.accuracy > 0.85
    assert run.noise_floor >= 0.1


def test_the_same_seed_gives_the_same_model() -> None:
    data, plan = breast_cancer(), replace(default_plan(447), rounds=2)

    first, again, other = (learn(data, plan, seed=seed).federated for seed in (5, 5, 6))

    assert first == again
    assert first != other


def test_too_few_wallets_are_refused_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--wallets", "40"]) == 2
    assert "40 wallets are too few" in capsys.readouterr().err
