"""Sensitivity, calibration, rotation, and the two accountants against each other and against published figures."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import binom

from aggregation.privacy import accounting, adaptive, budget, clipping, noise, quantise, rotation
from aggregation.privacy.mechanism import Mechanism, calibrated, excess
from tests.unit.privacy.test_privacy import seeded

SEED = bytes(range(32))
moderate = st.floats(-1e3, 1e3, allow_nan=False, width=32)


# --- rotation --------------------------------------------------------------------------------------------------


@given(hnp.arrays(np.float64, st.integers(1, 70), elements=moderate), st.binary(min_size=32, max_size=32))
def test_a_rotation_keeps_lengths_and_comes_back(values: np.ndarray, seed: bytes) -> None:
    turned = rotation.rotate(values, seed)

    assert turned.size == rotation.padded(values.size)
    assert np.linalg.norm(turned) == pytest.approx(np.linalg.norm(values), rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(rotation.unrotate(turned, seed, values.size), values, atol=1e-9)


def test_the_rotation_is_the_matrix_of_the_definition() -> None:
    """H[i][j] = (−1)^popcount(i & j), written out."""
    size = 16
    hadamard = np.array([[(-1) ** (i & j).bit_count() for j in range(size)] for i in range(size)], float)
    expected = hadamard @ np.diag(rotation.signs(SEED, size)) / math.sqrt(size)

    np.testing.assert_allclose(rotation.rotate(np.eye(size), SEED).T, expected, atol=1e-15)
    np.testing.assert_allclose(expected @ expected.T, np.eye(size), atol=1e-12)


def test_one_large_coordinate_is_spread_over_all() -> None:
    lonely = np.zeros(1000)
    lonely[417] = 1.0

    assert np.abs(rotation.rotate(lonely, SEED)).max() == pytest.approx(1 / 32)
    assert 400 < (rotation.signs(SEED, 1024) > 0).sum() < 624
    assert (rotation.signs(SEED, 64) != rotation.signs(bytes(32), 64)).any()


def test_a_sum_of_rotated_updates_is_the_rotated_sum() -> None:
    updates = np.array([[0.5, -0.25, 0.125], [1.0, 0.0, -1.0]])

    total = rotation.rotate(updates, SEED).sum(axis=0)

    np.testing.assert_allclose(rotation.unrotate(total, SEED, 3), updates.sum(axis=0), atol=1e-15)


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33)])
def test_a_seed_of_another_length_is_refused(seed: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        rotation.rotate(np.ones(3), seed)


def test_a_rotated_update_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="has 8, not 4"):
        rotation.unrotate(np.ones(4), SEED, 5)


# --- mechanism -------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    hnp.arrays(np.float64, st.integers(1, 64), elements=st.floats(-5, 5, allow_nan=False)),
    st.integers(0, 12),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_no_rounding_moves_an_update_beyond_the_sensitivity(
    update: np.ndarray, f: int, seed: int, turned: bool
) -> None:
    clipped = clipping.clip(rotation.rotate(update, SEED) if turned else update, 1.0)
    values = quantise.quantise(clipped, fraction_bits=f, value_bits=30, rng=seeded(seed))
    mechanism = Mechanism(clip_micro=1_000_000, share_micro=0, coordinates=values.size, fraction_bits=f)

    assert np.linalg.norm(values / 2**f) <= mechanism.sensitivity * (1 + 1e-12)


@pytest.mark.parametrize(
    "wallets, z, f, d", [(100, 1.0, 16, 159), (876, 0.736, 16, 159), (38, 3.0, 4, 12_289)]
)
def test_a_calibration_is_the_least_noise_that_is_enough(wallets: int, z: float, f: int, d: int) -> None:
    found = calibrated(z, clip_micro=1_000_000, wallets=wallets, coordinates=d, fraction_bits=f)

    assert found.multiplier(wallets) >= z
    assert replace(found, share_micro=found.share_micro - 1).multiplier(wallets) < z
    assert found.multiplier(wallets + 1) > found.multiplier(wallets), "more wallets only add noise"
    assert found.multiplier(wallets - 1) < z, "one wallet fewer than accepted would not be enough"


def test_coarse_rounding_costs_noise_and_the_floor_is_kept() -> None:
    fine, coarse = (
        calibrated(1.0, clip_micro=1_000_000, wallets=100, coordinates=4096, fraction_bits=f) for f in (16, 4)
    )
    assert coarse.sensitivity == pytest.approx(5.0)
    assert coarse.share_micro == pytest.approx(5 / 1.000977 * fine.share_micro, rel=1e-3)

    weak = calibrated(
        0.001, clip_micro=1_000_000, wallets=100, coordinates=9, fraction_bits=16, bucket_min=20
    )
    assert weak.share_micro == noise.floor_share_micro(1_000_000, 20)


def test_one_visit_costs_half_an_inverse_square() -> None:
    mechanism = Mechanism(clip_micro=1_000_000, share_micro=100_000, coordinates=1, fraction_bits=30)

    assert mechanism.cost_micro(100) == pytest.approx(500_000, abs=1)
    assert mechanism.cost_micro(25) == pytest.approx(2_000_000, abs=5)
    assert replace(mechanism, share_micro=0).cost_micro(100) is None


def test_shares_of_less_than_a_unit_are_charged_for_being_no_gaussian() -> None:
    rough = Mechanism(clip_micro=1_000_000, share_micro=500_000, coordinates=100, fraction_bits=0)
    alone = math.sqrt(400) * 0.5 / rough.sensitivity

    assert rough.multiplier(400) < alone / 2
    direct = 10 * sum(math.exp(-2 * math.pi**2 * 0.25 * k / (k + 1)) for k in range(1, 400))
    assert direct <= excess(0.5, 400) <= 1.05 * direct


@pytest.mark.parametrize("q, fits", [(24, True), (19, True), (18, False), (17, False)])
def test_a_value_that_could_be_clamped_is_noticed(q: int, fits: bool) -> None:
    """Clip 1 is 65,536 units, the noise reaches 9.6 · 0.3 · 65,536 more: 254,280 in all, between 2^17 and 2^18."""
    mechanism = Mechanism(clip_micro=1_000_000, share_micro=300_000, coordinates=2, fraction_bits=16)

    assert mechanism.never_clamped(q) is fits
    loud = noise.sample(200_000, sigma_micro=300_000, fraction_bits=16, rng=seeded(5))
    assert np.abs(loud).max() < noise.largest_units(300_000, 16)


# --- the two accountants ---------------------------------------------------------------------------------------


def gaussian_epsilon(mu: float, delta: float) -> float:
    """The exact ε of a Gaussian by bisection over the closed form (Balle and Wang 2018, arXiv 1805.06530, theorem 8)."""

    def phi(x: float) -> float:
        return 0.5 * math.erfc(-x / math.sqrt(2))

    def spent(eps: float) -> float:
        return phi(mu / 2 - eps / mu) - math.exp(eps) * phi(-mu / 2 - eps / mu)

    low, high = 0.0, 200.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if spent(middle) > delta else (low, middle)
    return high


@pytest.mark.parametrize(
    "z, visits, delta", [(1.2, 4, 1e-5), (7.461, 4, 1e-5), (1.0, 20, 1e-6), (3.731, 1, 1e-5)]
)
def test_known_cohorts_are_the_closed_form_rounded_up(z: float, visits: int, delta: float) -> None:
    exact = gaussian_epsilon(math.sqrt(visits) / z, delta)

    assert exact <= accounting.epsilon(z, visits=visits, delta=delta) <= exact + 2e-3


@pytest.mark.parametrize("z, visits", [(1.0, 1), (3.0, 20), (0.5, 2)])
def test_what_wallets_compute_is_never_below_the_exact_value(z: float, visits: int) -> None:
    spent = visits * math.ceil(1e6 / (2 * z * z))
    exact, wallets = accounting.epsilon(z, visits=visits, delta=1e-6), budget.epsilon(spent)

    assert exact <= wallets <= 1.1 * exact
    loose = spent / 1e6 + 2 * math.sqrt(spent / 1e6 * 6 * math.log(10))
    assert wallets < loose, "tighter than the textbook conversion"


def test_secret_cohorts_are_amplified_as_published() -> None:
    """ε 2.96 against 30.6: 100,000 wallets, cohort 1,000, 20 visits each, multiplier 1 (design figures)."""
    sampling = accounting.Sampling(probability=0.01, rounds=2000, population=100_000, cap=1300, least=720)

    assert sampling.outside() < 1e-12
    assert accounting.epsilon_sampled(1.0, sampling=sampling, delta=1e-6) == pytest.approx(2.96, abs=0.02)
    assert accounting.epsilon(1.0, visits=20, delta=1e-6) == pytest.approx(30.6, abs=0.05)


def test_a_cap_that_is_often_reached_leaves_nothing_to_claim() -> None:
    tight = accounting.Sampling(probability=0.01, rounds=100, population=10_000, cap=110, least=60)

    assert tight.outside() > 1e-3
    assert math.isinf(accounting.epsilon_sampled(1.0, sampling=tight, delta=1e-6))


def test_a_cohort_by_coins_is_hardly_ever_a_larger_share_than_is_counted_with() -> None:
    """Whatever the number of wallets that could have come: exact tails against the bound."""
    coins = accounting.Coins(probability=0.1, rounds=20, least=100)
    share = coins.share(1e-7)

    assert 0.1 < share < 0.2
    for wallets in (120, 400, round(100 / share), 1000, 5000, 100_000):
        most = max(coins.least - 1, math.floor(share * wallets))
        assert coins.rounds * binom.sf(most, wallets, coins.probability) <= 1e-7, wallets
    assert accounting.Coins(probability=1.0, rounds=1, least=100).share(1e-7) == 1.0


def test_coins_promise_less_than_a_secret_size_and_more_than_known_cohorts() -> None:
    coins = accounting.Coins(probability=0.01, rounds=8, least=720)
    sampling = accounting.Sampling(probability=0.01, rounds=8, population=100_000, cap=1300, least=720)
    mechanism = calibrated(2.0, clip_micro=10**6, wallets=720, coordinates=10, fraction_bits=16)
    stated = accounting.state(mechanism, release_min=720, bucket_min=720, visits=8, delta=1e-6, coins=coins)
    known = accounting.epsilon(mechanism.multiplier(720), visits=8, delta=1e-6)

    secret = accounting.epsilon_sampled(mechanism.multiplier(720), sampling=sampling, delta=1e-6)
    assert secret < stated.consumer < known == stated.operator
    assert stated.amplified and "drawn in secret" in stated.words()
    often = accounting.Coins(probability=1.0, rounds=8, least=720)
    unhelped = accounting.state(mechanism, release_min=720, bucket_min=720, visits=8, delta=1e-6, coins=often)
    assert (unhelped.consumer, unhelped.amplified) == (known, False)


@given(st.integers(1, 10**9), st.integers(3, 9))
def test_budgets_and_epsilons_are_inverse(spent: int, exponent: int) -> None:
    limit = budget.epsilon(spent, delta_exponent=exponent)
    if limit <= budget.MOST_EPSILON:
        assert abs(budget.rho_micro(limit, delta_exponent=exponent) - spent) <= max(2, spent * 1e-7)
    assert budget.epsilon(spent + 1 + spent // 100, delta_exponent=exponent) > limit


def test_a_limit_that_makes_no_sense_is_refused() -> None:
    assert budget.rho_micro(0) == 0
    for limit in (-1.0, 1001.0, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1,000"):
            budget.rho_micro(limit)


def test_a_statement_says_both_numbers_and_never_hides_the_larger() -> None:
    mechanism = calibrated(2.0, clip_micro=1_000_000, wallets=100, coordinates=159, fraction_bits=16)
    found = accounting.state(mechanism, release_min=100, bucket_min=50, visits=4, delta=1e-6)

    assert found.consumer == pytest.approx(accounting.epsilon(2.0, visits=4, delta=1e-6), abs=1e-3)
    assert found.operator > found.consumer
    words = found.words()
    assert f"{found.consumer:.2f}" in words
    assert f"{found.operator:.2f}" in words
    assert "at most 4 visits" in words

    silent = accounting.state(
        replace(mechanism, share_micro=0), release_min=100, bucket_min=50, visits=1, delta=1e-6
    )
    assert silent.words().count("nothing is claimed") == 2


@pytest.mark.parametrize("target, visits", [(1.0, 1), pytest.param(8.0, 4, marks=pytest.mark.long)])
def test_the_least_multiplier_for_a_target(target: float, visits: int) -> None:
    found = accounting.multiplier_for(target, delta=1e-5, visits=visits)

    assert accounting.epsilon(found, visits=visits, delta=1e-5) <= target
    assert accounting.epsilon(found - 0.001, visits=visits, delta=1e-5) > target


# --- adaptive clipping -----------------------------------------------------------------------------------------


def test_the_bound_finds_the_quantile_of_the_norms_through_noise() -> None:
    """Norms are 2·|x|·…: the median of 400 lengths is looked for from a hundredth of it, with the floor's noise on the sum."""
    rng = np.frombuffer(hashlib_stream(400 * 5), dtype=np.uint8).reshape(400, 5) / 255.0
    updates, rule, bound = (rng - 0.5) * 4, adaptive.Rule(target=0.5), 0.02
    for number in range(80):
        sent = adaptive.with_indicator(updates, bound, rule)
        assert clipping.lengths(sent).max() <= bound * rule.sensitivity_factor * (1 + 1e-9)
        values = quantise.quantise(sent, fraction_bits=12, value_bits=24, rng=seeded(number))
        share = noise.floor_share_micro(round(bound * 1e6), 400)
        values = values + noise.sample(
            values.shape, sigma_micro=share, fraction_bits=12, rng=seeded(number + 500)
        )
        mean = quantise.dequantise_mean(values.sum(axis=0), count=400, fraction_bits=12)
        update, bound, share_within = adaptive.next_bound(bound, mean, rule)
        assert update.size == 5
        assert 0 <= share_within <= 1

    assert bound == pytest.approx(float(np.median(clipping.lengths(updates))), rel=0.1)


def hashlib_stream(size: int) -> bytes:
    return seeded(99)(size)


def test_a_bound_stays_within_its_limits_whatever_a_sum_says() -> None:
    rule = adaptive.Rule(least=0.5, most=2.0)
    for loud in (-1e9, 1e9):
        _, bound, share = adaptive.next_bound(1.0, np.array([0.0, loud]), rule)
        assert 0.5 <= bound <= 2.0
        assert share in (0.0, 1.0)
    with pytest.raises(ValueError, match="target between"):
        adaptive.Rule(target=1.0)


def test_clipping_many_is_clipping_each() -> None:
    updates = (np.frombuffer(seeded(7)(600), dtype=np.uint8).reshape(60, 10) / 64.0 - 2) ** 3
    updates[0] = 0
    together = clipping.clip(updates, 1.5)

    assert all(np.array_equal(together[i], clipping.clip(updates[i], 1.5)) for i in range(60))
    assert not together[0].any()
    np.testing.assert_array_equal(
        together[clipping.lengths(updates) <= 1.5], updates[clipping.lengths(updates) <= 1.5]
    )


@example(clip=314, share=1, n=1, d=65536, f=9)
@given(
    st.integers(1, 10**9),
    st.integers(1, 10**9),
    st.integers(1, 10**5),
    st.integers(1, 1 << 21),
    st.integers(8, 30),
)
def test_the_wallets_integers_are_the_mechanism_rounded_up(
    clip: int, share: int, n: int, d: int, f: int
) -> None:
    mechanism = Mechanism(clip_micro=clip, share_micro=share, coordinates=d, fraction_bits=f)
    delta = budget.sensitivity_micro(clip, coordinates=d, fraction_bits=f)
    cost = budget.cost_micro(clip, share, wallets=n, coordinates=d, fraction_bits=f)

    above = delta - mechanism.sensitivity * 1e6
    assert -1e-12 * delta <= above <= 1 + 1e-3, (
        "where it comes out even, the floating point number may be a last digit too large"
    )
    assert cost is not None
    if share * 2**f >= 3 * 10**6:  # three units: τ is nothing
        assert cost * (1 + 1e-9) + 1 >= mechanism.cost_micro(n)  # type: ignore[operator]
    assert budget.cost_micro(clip, 0, wallets=n, coordinates=d, fraction_bits=f) is None
