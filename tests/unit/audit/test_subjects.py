"""People by chance fit what they are drawn for, and the audit's answers and sums are the wallets' own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from collectives.audit.answers import answers, clipped, differentiable
from collectives.audit.bad import PLAIN, query
from collectives.audit.conditions import weakest
from collectives.audit.dice import Dice
from collectives.audit.people import _record, people_for
from collectives.audit.ready import names, ready, requirement
from collectives.audit.subject import subject
from collectives.audit.sums import summed
from collectives.terms.algorithm import output_length, parse_manifest
from collectives.terms.requirements import check_profile, validate
from collectives.training.net import compute_update


def test_records_by_chance_meet_the_requirement() -> None:
    check_profile(requirement())
    dice = Dice("records")
    records = [_record(requirement(), dice) for _ in range(50)]
    assert [problem for record in records for problem in validate(requirement(), record)] == []
    assert {record["smoker"] for record in records} == {True, False}
    assert any("income" not in record for record in records)


def test_columns_without_a_requirement_are_numbers_truths_and_lists() -> None:
    made = people_for(parse_manifest(PLAIN | {"width_in": 12, "inputs": ["a", "b", "c", "d"]}))
    x, y = made.draw(Dice("columns"), 200)
    assert made.spans == ((0, 3), (3, 6), (6, 9), (9, 12))
    assert np.array_equal(x.sum(axis=1), np.full(200, 4.0, np.float32)) and set(np.unique(y)) == {0.0, 1.0}


@pytest.mark.parametrize("name", names())
def test_what_is_attacked_is_what_a_wallet_computes(name: str) -> None:
    found = ready(name)
    dice = found.dice("test")
    x, y = found.draw(dice, 4)
    alone = np.stack(
        [compute_update(found.manifest, found.initial, x[i : i + 1], y[i : i + 1]) for i in range(4)]
    )
    together = answers(found.manifest, found.initial, x, y, dice)
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)
    assert together.shape == (4, output_length(found.manifest))
    rows = differentiable(
        found.manifest, torch.from_numpy(found.initial), torch.from_numpy(x), torch.from_numpy(y)
    )
    if found.manifest.output.kind == "histogram":
        assert rows is None
    else:
        assert rows is not None
        np.testing.assert_allclose(rows.numpy(), alone, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("rotation", [False, True])
def test_a_sum_is_clipped_and_carries_the_noise_of_its_conditions(rotation: bool) -> None:
    made = weakest(parse_manifest(PLAIN))
    made = replace(made, rotation=rotation)
    raw = np.zeros((made.bucket_min, 400))
    raw[:, 0] = 50.0  # clipped to 1 each
    total = summed(raw, made, Dice("sum"))
    assert total[0] == pytest.approx(made.bucket_min, abs=0.5)
    assert total[1:].std() == pytest.approx(0.1, rel=0.15)
    assert made.sigma(made.bucket_min) == pytest.approx(0.1, rel=1e-3)
    assert summed(raw, made.quiet(), Dice("sum"))[1:].std() < 1e-3


def test_the_attackers_clip_is_the_pipelines() -> None:
    rows = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    np.testing.assert_allclose(clipped(rows, 1.0).numpy(), [[0.6, 0.8], [0.3, 0.4]], rtol=1e-6)


def test_the_weakest_conditions_are_the_platforms_floors() -> None:
    found = subject(query("mean", width_in=3, fields=3, clip_micro=1_732_051))
    assert (found.conditions.bucket_min, found.conditions.release_min) == (20, 100)
    formal = found.conditions.formal(found.manifest)
    assert formal.share_micro > found.conditions.share_micro and formal.epsilon == 3.0
    assert 2.0 < formal.stated_epsilon(3) <= 3.0
