"""The noise against its reference distribution: chi-square, exact moments, and the sum of many wallets' shares."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from aggregation.privacy import noise
from aggregation.privacy.mechanism import excess
from tests.unit.privacy.test_privacy import seeded

LEAST_P = 1e-4
"""Seeds are fixed, so a test fails only when the code changes."""


def reference(sigma: float, reach: int) -> np.ndarray:
    """P(k) for k = −reach … reach, straight from the definition."""
    ks = np.arange(-reach, reach + 1)
    weights = np.exp(-(ks**2) / (2 * sigma**2))
    return np.asarray(weights / weights.sum())


def chi_square(drawn: np.ndarray, expected: np.ndarray, reach: int) -> float:
    """p-value; neighbouring cells are joined at both ends until each expects at least five."""
    observed = np.bincount(np.clip(drawn, -reach, reach) + reach, minlength=2 * reach + 1).astype(float)
    expected = expected * drawn.size
    first = int(np.searchsorted(np.cumsum(expected), 5.0))
    cut = slice(first, expected.size - first)

    def joined(values: np.ndarray) -> np.ndarray:
        middle = values[cut].copy()
        middle[0] += values[:first].sum()
        middle[-1] += values[expected.size - first :].sum()
        return middle

    return float(stats.chisquare(joined(observed), joined(expected)).pvalue)


@pytest.mark.parametrize("sigma_micro, f", [(700_000, 0), (2_300_000, 0), (20_000, 8), (31_250, 10)])
def test_chi_square_against_the_definition(sigma_micro: int, f: int) -> None:
    sigma = sigma_micro / 1e6 * 2**f
    reach = math.ceil(9 * sigma)
    drawn = noise.sample(300_000, sigma_micro=sigma_micro, fraction_bits=f, rng=seeded(11))
    wrong = noise.sample(300_000, sigma_micro=round(sigma_micro * 1.02), fraction_bits=f, rng=seeded(11))

    assert chi_square(drawn, reference(sigma, reach), reach) > LEAST_P
    assert chi_square(wrong, reference(sigma, reach), reach) < LEAST_P, "two per cent too much is seen"


@pytest.mark.parametrize("sigma_micro, f", [(400_000, 0), (1_000_000, 0), (20_000, 8)])
def test_the_tables_moments_are_exact(sigma_micro: int, f: int) -> None:
    """Mean, variance and kurtosis of the published table itself, without drawing: within 2⁻⁵⁰ of the definition's."""
    smallest, table = noise.thresholds(sigma_micro, f)
    steps = [0, *(int(value) for value in table), 1 << 64]
    mass = np.array([(b - a) / 2.0**64 for a, b in itertools.pairwise(steps)])
    ks = np.arange(smallest, smallest + mass.size)
    expected = reference(sigma_micro / 1e6 * 2**f, -smallest)

    assert mass.sum() == pytest.approx(1, abs=2**-50)
    assert float((mass * ks).sum()) == pytest.approx(0, abs=1e-12)
    for power in (2, 4):
        assert (mass * ks**power).sum() == pytest.approx((expected * ks**power).sum(), rel=1e-9)
    assert noise.largest_units(sigma_micro, f) == -smallest


def test_many_wallets_shares_make_the_discrete_gaussian_of_their_sum() -> None:
    """Twenty shares of 0.9 units are a discrete Gaussian of 0.9·√20 as far as 200,000 sums can tell; τ says how near."""
    wallets, share = 20, 900_000
    drawn = noise.sample((wallets, 200_000), sigma_micro=share, fraction_bits=0, rng=seeded(12)).sum(axis=0)
    sigma = share / 1e6 * math.sqrt(wallets)

    assert chi_square(drawn, reference(sigma, 45), 45) > LEAST_P
    assert drawn.var() == pytest.approx(sigma**2, rel=0.02)
    assert stats.kurtosis(drawn) == pytest.approx(0, abs=0.06)
    assert 0 < excess(0.9, wallets) < 0.02
    assert excess(3.0, 1000) < 1e-30


def test_a_shape_is_as_many_draws_as_its_cells() -> None:
    flat = noise.sample(24, sigma_micro=500_000, fraction_bits=4, rng=lambda n: bytes(n))
    square = noise.sample((4, 6), sigma_micro=500_000, fraction_bits=4, rng=lambda n: bytes(n))

    assert square.shape == (4, 6)
    assert square.ravel().tolist() == flat.tolist()
    assert len(set(flat.tolist())) > 5


def test_noise_that_would_keep_a_wallet_busy_for_ever_has_no_table() -> None:
    with pytest.raises(ValueError, match="no table"):
        noise.thresholds(10**12, 30)
