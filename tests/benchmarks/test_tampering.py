"""The simulation of tampering wallets runs the system's own rules, finds who ignores the bound, and writes what it found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from collectives.terms.algorithm import parse_manifest
from collectives.training.features import Encoder
from marketplace.demo.datasets import breast_cancer
from tests.benchmarks.learning.data import People
from tests.benchmarks.tampering import report
from tests.benchmarks.tampering.__main__ import settings
from tests.benchmarks.tampering.attacks import Attack, trigger_of, with_trigger
from tests.benchmarks.tampering.simulation import Setting, Simulation, as_record

SMALL = Setting(bucket=25, wallets=250, cohort=250, rounds=14)
WILD = Attack(kind="flip", share=0.008, bounded=False)


@pytest.fixture(scope="module")
def people() -> People:
    data = breast_cancer()
    encoder = Encoder(data.requirement, parse_manifest(data.manifest))
    x, y = encoder.encode_many(data.train)
    x_test, y_test = encoder.encode_many(data.test)
    return People(
        name="b",
        digest="b",
        base=dict(data.manifest),
        most=30.0,
        x=x,
        y=y,
        x_test=x_test,
        y_test=y_test,
    )


def test_who_ignores_the_bound_is_set_aside_found_and_nobody_else(people: People, tmp_path: Path) -> None:
    calm, summed, filtered = (
        Simulation(one, people, 0).train()
        for one in (
            SMALL,
            replace(SMALL, attack=WILD, rule="sum"),
            replace(SMALL, attack=WILD),
        )
    )

    # Thirty numbers about the same thing have few dimensions, and distances spread; on Adult no honest bucket stands out.
    assert (calm.stood_out < 0.05, calm.excluded, calm.accused_wrongly) == (True, 0, 0)
    assert filtered.excluded == filtered.hostile == 2
    assert 5 <= filtered.after <= 14
    assert filtered.accused_wrongly == 0
    assert 0 < filtered.stood_out <= filtered.with_attacker + 0.05
    assert filtered.auc > 0.95

    records = [
        as_record(replace(SMALL, rule="sum"), 0, calm),
        as_record(replace(SMALL, attack=WILD, rule="sum", bucket=50), 0, summed),
        as_record(replace(SMALL, bucket=50), 0, calm),
        as_record(replace(SMALL, attack=WILD, bucket=50), 0, filtered),
    ]
    report.write(records, people, tmp_path)
    page = (tmp_path / "tampering-b.md").read_text("utf-8")
    assert f"| flip, of length 100 | {summed.auc:.3f}" in page
    assert "2 of 2" in page
    assert report.last_line(records)["wrongly_accused"] == 0


def test_wallets_within_the_bound_are_never_seen(people: People) -> None:
    found = Simulation(replace(SMALL, attack=Attack(kind="flip", share=0.02), rounds=5), people, 0).train()
    assert (found.stood_out < 0.1, found.excluded) == (True, 0)
    assert found.with_attacker > 0.3


def test_every_attack_and_rule_is_among_the_settings(people: People) -> None:
    every = list(settings(2_000))
    assert len({one.name for one in every}) == len(every)
    assert {one.attack.kind for one in every if one.attack} == {
        "flip",
        "noise",
        "scale",
        "backdoor",
        "free-rider",
    }
    assert {one.rule for one in every} == {"sum", "filter", "norm", "cosine", "median", "trimmed"}


def test_a_backdoor_wears_columns_that_mean_nothing_to_honest_people() -> None:
    import numpy as np

    x = np.array([[1, 0, 0.3], [0, 1, 0.1], [1, 1, 0.2], [0, 0, 0.9]], dtype=np.float32)
    y = np.array([[1], [1], [0], [0]], dtype=np.float32)
    chosen = trigger_of(np.tile(x, (1, 2)), y)
    assert set(chosen.tolist()) <= {0, 1, 3, 4}  # not the numbers
    assert with_trigger(x, np.array([1]))[:, 1].tolist() == [1, 1, 1, 1]
