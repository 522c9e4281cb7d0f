"""The parameter finder reproduces the design's table, and what it finds goes into a header unchanged."""

from __future__ import annotations

import pytest

from aggregation.secagg.parameters import Parameters, find, secure_threshold, shortfall, survives
from tests.unit.secagg.pair import header


@pytest.mark.parametrize(
    ("wallets", "corrupt", "lost", "k", "t"),
    [(100, 100_000, 100_000, 32, 22), (1000, 100_000, 50_000, 62, 46), (1000, 100_000, 100_000, 96, 67)],
)
def test_the_table_of_the_design(wallets: int, corrupt: int, lost: int, k: int, t: int) -> None:
    found = find(wallets=wallets, corrupt_ppm=corrupt, lost_ppm=lost)
    assert found == Parameters(k=k, threshold=t)
    assert survives(wallets=wallets, lost_ppm=lost, parameters=found)
    smaller = Parameters(k=k - 2, threshold=t)
    assert not survives(wallets=wallets, lost_ppm=lost, parameters=smaller)
    head = header(graph="circulant", k=k, bucket_size=wallets, threshold_ppm=found.threshold_ppm)
    assert head.threshold(wallets) == t


@pytest.mark.parametrize(("bucket", "t"), [(50, 38), (100, 69)])
def test_thresholds_of_complete_buckets(bucket: int, t: int) -> None:
    assert secure_threshold(wallets=1000, corrupt_ppm=100_000, k=bucket - 1) == t
    head = header(bucket_size=bucket, threshold_ppm=Parameters(k=bucket - 1, threshold=t).threshold_ppm)
    assert head.threshold(bucket) == t


def test_one_wallet_in_a_quarter_of_a_million_falls_below() -> None:
    assert 1 / shortfall(k=49, threshold=38, lost_ppm=50_000) == pytest.approx(252_526, rel=1e-4)


def test_there_is_no_answer_for_a_cohort_that_is_mostly_corrupt() -> None:
    assert secure_threshold(wallets=30, corrupt_ppm=900_000, k=10) is None
    assert find(wallets=12, corrupt_ppm=900_000, lost_ppm=100_000) is None


def test_loss_beyond_the_margin_has_no_answer() -> None:
    assert find(wallets=20, corrupt_ppm=100_000, lost_ppm=600_000) is None
