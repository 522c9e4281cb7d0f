"""The engine of the long benchmark does what a wallet does, keeps what it found, and tells attackers apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aggregation.privacy import adaptive
from aggregation.privacy.accounting import Sampling
from collectives.terms.algorithm import parse_manifest
from collectives.training import plateau
from collectives.training.features import Encoder
from collectives.training.init import initial_weights
from collectives.training.net import compute_update
from marketplace.demo.datasets import breast_cancer
from tests.benchmarks.learning import oneshot, results
from tests.benchmarks.learning.attackers import Attack
from tests.benchmarks.learning.data import People
from tests.benchmarks.learning.draws import PassDraw, PoissonDraw, QuickPassDraw, sampling_for
from tests.benchmarks.learning.engine import Formal, Job, Result, Run, protected
from tests.benchmarks.learning.gradients import updates
from tests.benchmarks.learning.headers import header_of, seeded
from tests.benchmarks.learning.oneshot import OneShot
from tests.benchmarks.learning.runs import runs_for
from wallets.agent.output import contract

PLAIN = Run(name="plain", rounds=8, cohort=110, rate=0.3)


@pytest.fixture(scope="module")
def people() -> People:
    data = breast_cancer()
    encoder = Encoder(data.requirement, parse_manifest(data.manifest))
    x, y = encoder.encode_many(data.train)
    x_test, y_test = encoder.encode_many(data.test)
    base = dict(data.manifest)
    return People(name="b", digest="b", base=base, most=30.0, x=x, y=y, x_test=x_test, y_test=y_test)


def trained(run: Run, people: People, seed: int = 0) -> Result:
    def two(promise: Formal, sampling: Sampling | None) -> float:
        return 2.0

    return Job(run, people, seed, two).train()


@pytest.mark.parametrize("hidden, steps", [((), 1), ((5,), 1), ((5,), 3)])
def test_a_cohort_at_once_is_every_wallet_by_itself(
    people: People, hidden: tuple[int, ...], steps: int
) -> None:
    run = replace(PLAIN, hidden=hidden, local_steps=steps)
    manifest = parse_manifest(people.manifest(run))
    weights = initial_weights(manifest, bytes(16)) + np.float32(0.05)
    ((part, together),) = updates(manifest, weights, people.x, people.y, [3, 1, 4])

    assert part.tolist() == [3, 1, 4]
    for place, wallet in enumerate(part):
        alone = compute_update(
            manifest, weights, people.x[wallet : wallet + 1], people.y[wallet : wallet + 1]
        )
        np.testing.assert_allclose(together[place], alone, atol=1e-6)
        assert np.abs(alone).max() > 1e-3


def test_a_simulated_wallet_passes_the_agents_own_output_contract(people: People) -> None:
    manifest = parse_manifest(people.manifest(PLAIN))
    weights = initial_weights(manifest, bytes(16))
    header = header_of(
        manifest, job=bytes(16), number=1, weights=weights, noise_micro=20_000, value_bits=24, fraction_bits=16,
        bucket_size=50, bucket_min=38, release_min=100,
    )  # fmt: skip
    raw = compute_update(manifest, weights, people.x[:1], people.y[:1])

    agents = contract(raw.astype("<f4").tobytes(), header, seeded(1))

    assert np.array_equal(protected(raw.astype(np.float64)[None], header, seeded(1))[0], agents)


def test_wallets_learn_and_the_same_seed_learns_the_same(people: People) -> None:
    first, again, other = (trained(PLAIN, people, seed) for seed in (0, 0, 1))

    assert first.auc > 0.95
    assert first.curve[-1][0] == first.visits == 8 * 110
    assert (first.auc, first.log_loss) == (again.auc, again.log_loss)
    assert first.log_loss != other.log_loss
    assert first.most_visits == 2


def test_sixteen_bits_are_as_good_as_floating_point(people: People) -> None:
    floating = trained(replace(PLAIN, floating=True), people)
    fixed = trained(replace(PLAIN, quiet=True, value_bits=16, fraction_bits=14), people)

    assert abs(floating.auc - fixed.auc) < 0.002
    assert floating.log_loss != fixed.log_loss


def test_one_bucket_has_the_floor_once(people: People) -> None:
    run = Run(name="r", rounds=1, cohort=200, clip=2.0)
    wide = replace(run, one_bucket=True, value_bits=21)
    small, large = (Job(one, people, 0, lambda promise, sampling: 2.0).noise for one in (run, wide))

    assert (small.bucket_size, small.bucket_min) == (50, 38)
    assert (large.bucket_size, large.bucket_min, large.release_min) == (200, 190, 190)
    floor = 0.1 * run.clip * 1e6  # on the sum of the smallest bucket
    for one in (small, large):
        assert floor <= one.share_micro * one.bucket_min**0.5 < floor * 1.001


def test_a_promise_is_stated_with_both_numbers_and_costs_accuracy_at_most(people: People) -> None:
    run = replace(
        PLAIN,
        formal=Formal(epsilon=50.0, secret=False, visits=8),
        value_bits=20,
        fraction_bits=12,
        average=True,
    )
    found = trained(run, people)

    assert "consumer" in found.privacy
    assert "operator" in found.privacy
    assert found.auc > 0.9
    with pytest.raises(AssertionError, match="promises"):
        trained(replace(run, formal=Formal(epsilon=0.5, secret=False, visits=8)), people)
    with pytest.raises(AssertionError, match="could clamp"):
        trained(replace(run, value_bits=13), people)


def test_one_visit_solves_what_all_records_in_one_place_solve(people: People) -> None:
    shot = OneShot(name="ridge", quiet=True)
    found, yardstick = oneshot.run(shot, people, 0), oneshot.central(people, shot.ridge)
    noisy = oneshot.run(OneShot(name="floor"), people, 0)

    assert found.auc == pytest.approx(yardstick.auc, abs=0.0005)
    assert noisy.log_loss != found.log_loss
    assert yardstick.auc > 0.97
    every = oneshot.answers(parse_manifest(people.ridge(clip=1.0, ridge=1.0)), people, 0, people.wallets)
    assert np.linalg.norm(every, axis=1).max() <= oneshot.bound_of(people), "nobody is clipped"


def test_a_bound_holds_attackers_and_without_one_a_few_decide(people: People) -> None:
    bounded = trained(replace(PLAIN, clip=1.0, attack=Attack(share=0.05, norm=1.0)), people)
    unbounded = trained(
        replace(PLAIN, clip=1.0, attack=Attack(share=0.05, norm=100.0, bounded=False)), people
    )

    assert bounded.auc > 0.9
    assert unbounded.auc < 0.5
    chosen = Attack(share=0.1, norm=1.0).wallets(50, 3)
    assert len(chosen) == 5
    assert chosen != Attack(share=0.1, norm=1.0).wallets(50, 4)


def test_the_clip_bound_adapts_and_the_job_stops_at_its_plateau(people: People) -> None:
    grown = trained(
        replace(PLAIN, rate=0.01, clip=0.01, fraction_bits=12, adaptive=adaptive.Rule(rate=0.5)), people
    )
    stopped = trained(
        replace(PLAIN, rounds=60, plateau=plateau.Rule(window=1, least=0.5, errors=0.0), decay=False), people
    )

    assert grown.clip > 0.02
    assert stopped.rounds < 60
    assert stopped.visits > stopped.rounds * 110, "those who judge are visited too"


def test_draws_never_visit_twice_in_a_pass_and_coins_fall_as_they_should() -> None:
    for draw in (PassDraw(30, 1), QuickPassDraw(30, 1)):
        orders = [draw.next(10) for _ in range(6)]
        for half in (orders[:3], orders[3:]):
            assert sorted(wallet for order in half for wallet in order) == list(range(30))
        assert orders[:3] != orders[3:]
        assert draw.most == 2

    sampling = sampling_for(wallets=5000, cohort=500, rounds=20)
    coins = PoissonDraw(sampling, 2)
    sizes = [len(coins.next(500)) for _ in range(20)]
    assert all(sampling.least <= size <= sampling.cap for size in sizes)
    assert np.mean(sizes) == pytest.approx(500, abs=4 * (450 / 20) ** 0.5)
    assert len(set(sizes)) > 5
    assert sampling.outside() < 1e-6


def test_a_result_that_is_kept_is_not_computed_again(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = results.Kept(tmp_path, people)
    assert kept.found(PLAIN, 0) is None
    record = kept.run(PLAIN, 0)

    def never(*_: object) -> Result:
        raise AssertionError("computed again")

    monkeypatch.setattr(results.Kept, "_execute", never)
    assert kept.run(PLAIN, 0) == kept.found(PLAIN, 0) == json.loads(json.dumps(record))
    with pytest.raises(AssertionError, match="again"):
        kept.run(PLAIN, 1)
    with pytest.raises(AssertionError, match="again"):
        kept.run(replace(PLAIN, rate=0.31), 0)


def test_a_stopped_run_goes_on_and_comes_to_the_same(people: People, tmp_path: Path) -> None:
    run, kept = replace(PLAIN, rounds=14, average=True), tmp_path / "run.progress"
    whole = trained(run, people)

    def job() -> Job:
        return Job(run, people, 0, lambda promise, sampling: 2.0)

    stopped, rounds = job(), Job._round

    def stopping(self: Job, number: int, cohort: object) -> None:
        if number == 13:
            raise KeyboardInterrupt
        rounds(self, number, cohort)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Job, "_round", stopping)
        stopped.train(kept)
    resumed = job().train(kept)

    assert (resumed.auc, resumed.log_loss, resumed.visits) == (whole.auc, whole.log_loss, whole.visits)
    assert resumed.curve == whole.curve


def test_the_last_line_has_the_agreed_keys_in_their_order() -> None:
    names = [run.name for run in runs_for(32_561)] + ["ridge-central", "ridge", "ridge-floor", "ridge-eps1"]
    figures = dict.fromkeys(("log_loss", "visits", "rounds", "most_visits", "seconds", "clip"), 1.0)
    records = [
        {"name": name, "seed": seed, "accuracy": 0.8, "auc": 0.9 + seed / 100, **figures}
        for name in names
        for seed in ((0,) if name == "ridge-central" else (0, 1, 2))
    ]

    line = results.last_line(records)

    assert list(line) == results.ORDER
    assert line["linear_50k_acc"] == 0.8
    assert line["eps1_auc"] == pytest.approx(0.91)
    assert line["oneshot_auc_diff"] == pytest.approx(0.01), "0, 0.01 and 0.02 against the one yardstick"
    assert line["fixed16_auc_diff"] == 0
    assert results.last_line(records[:3]) == {"linear_50k_acc": 0.8, "linear_50k_auc": pytest.approx(0.91)}
