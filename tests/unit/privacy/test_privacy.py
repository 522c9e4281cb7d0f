"""Clip, noise and quantiser: bounds, unbiasedness, the promised noise floor."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aggregation.privacy import clipping, noise, quantise


def seeded(seed: int) -> Callable[[int], bytes]:
    counter = itertools.count()
    return lambda size: b"".join(
        hashlib.sha256(f"{seed}:{next(counter)}".encode()).digest() for _ in range(-(-size // 32))
    )[:size]


finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


@given(hnp.arrays(np.float64, st.integers(1, 40), elements=finite), st.floats(1e-3, 1e3))
def test_clipping_bounds_the_norm_and_keeps_the_direction(update: np.ndarray, bound: float) -> None:
    clipped = clipping.clip(update, bound)

    assert np.linalg.norm(clipped) <= bound * (1 + 1e-9)
    scale = np.abs(update).max()
    if scale > 0:
        cosine = np.dot(clipped / np.abs(clipped).max(), update / scale)
        assert cosine >= 0.99 * np.linalg.norm(clipped / np.abs(clipped).max()) * np.linalg.norm(
            update / scale
        )


def test_a_short_update_is_left_alone_and_extremes_do_not_overflow() -> None:
    assert clipping.clip(np.array([0.3, 0.4]), 1.0).tolist() == [0.3, 0.4]
    np.testing.assert_allclose(clipping.clip(np.array([1e300, 0.0]), 2.0), [2.0, 0.0])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        clipping.clip(np.array([value]), 1.0)
    with pytest.raises(ValueError, match="finite"):
        quantise.quantise(np.array([value]), fraction_bits=8, value_bits=16, rng=seeded(0))


@pytest.mark.parametrize("value", [0.0, 0.3, -0.3, 1.0, -0.001, 0.99999])
def test_rounding_is_unbiased(value: float) -> None:
    drawn = quantise.quantise(np.full(200_000, value), fraction_bits=4, value_bits=12, rng=seeded(1))

    assert drawn.mean() / 16 == pytest.approx(value, abs=4 * 0.5 / 16 / np.sqrt(200_000) + 1e-9)
    assert set(np.unique(drawn)) <= {np.floor(value * 16), np.floor(value * 16) + 1}


@given(st.floats(-1e12, 1e12), st.integers(2, 32))
def test_a_quantised_value_fits_its_bits(value: float, bits: int) -> None:
    (word,) = quantise.quantise(np.array([value]), fraction_bits=16, value_bits=bits, rng=seeded(2))

    assert abs(int(word)) < 2 ** (bits - 1)


def test_a_mean_of_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        quantise.dequantise_mean(np.zeros(1, np.int64), count=0, fraction_bits=1)


@pytest.mark.parametrize("bucket_min", [20, 38, 50])
def test_the_smallest_bucket_carries_the_promised_noise_within_one_percent(bucket_min: int) -> None:
    share = noise.floor_share_micro(1_000_000, bucket_min)
    total = np.zeros(40_000, dtype=np.int64)
    for wallet in range(bucket_min):
        total += noise.sample(40_000, sigma_micro=share, fraction_bits=16, rng=seeded(wallet))

    measured = total.std() / 65536

    assert measured == pytest.approx(0.1, rel=0.01)
    assert measured > 0.0985


@pytest.mark.parametrize("sigma_micro", [300_000, 1_000_000, 4_500_000])
def test_the_table_is_the_discrete_gaussian(sigma_micro: int) -> None:
    drawn = noise.sample(400_000, sigma_micro=sigma_micro, fraction_bits=0, rng=seeded(3))
    sigma = sigma_micro / 1e6
    ks = np.arange(-40, 41)
    weights = np.exp(-(ks**2) / (2 * sigma**2))
    expected = weights / weights.sum()

    counts = np.bincount(drawn + 40, minlength=81) / drawn.size

    np.testing.assert_allclose(counts, expected, atol=5 * np.sqrt(0.25 / drawn.size))


def test_thresholds_ascend_and_are_symmetric() -> None:
    smallest, table = noise.thresholds(1_500_000, 0)

    assert smallest == -(len(table) // 2)
    assert (np.diff(table.astype(object)) >= 0).all()
    middle = len(table) // 2
    assert int(table[middle]) + int(table[middle - 1]) == pytest.approx(2**64, rel=1e-12)


def test_no_noise_is_no_noise() -> None:
    assert not noise.sample(5, sigma_micro=0, fraction_bits=16, rng=seeded(4)).any()
