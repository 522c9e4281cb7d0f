"""Robust sums over buckets: free when nobody tampers, unmoved by a few buckets that were, never of fewer wallets than promised."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from aggregation.privacy.stream import words32
from aggregation.tampering import rules

UNIT = 1 << 16


def buckets(count: int, *, wallets: int = 50, d: int = 40, wild: int = 0, seed: int = 1) -> NDArray[np.int64]:
    """Sums of `count` buckets whose wallets agree on a direction and differ by chance; the first `wild` are pushed away."""
    words = words32(seed.to_bytes(16, "big"), 12 * count * wallets * d).reshape(12, count, wallets, d)
    normal = words.sum(axis=0, dtype=np.float64) / 2**32 - 6  # twelve uniform numbers: nearly normal, σ = 1
    answers = 0.05 + normal / np.sqrt(d)
    sums = answers.sum(axis=1)
    for place in range(wild):  # each elsewhere, as far as one wallet can push the sum of its bucket
        sums[place, place % d] -= 100.0
    return np.rint(sums * UNIT).astype(np.int64)


def mean(combined: rules.Combined) -> NDArray[np.float64]:
    return combined.total / (UNIT * combined.count)


@pytest.mark.parametrize("rule", rules.FILTERS)
def test_a_round_in_which_nobody_tampers_is_the_plain_sum(rule: str) -> None:
    sums = buckets(20)
    combined = rules.combine(sums, [50] * 20, rule=rule, least=100)

    assert (combined.flagged, combined.count, combined.judged) == ((), 1000, True)
    assert np.array_equal(combined.total, sums.sum(axis=0))


def test_a_bucket_that_stands_out_is_set_aside_whole() -> None:
    sums = buckets(20, wild=2)
    combined = rules.combine(sums, [50] * 20, rule="filter", least=100)

    assert (combined.flagged, combined.count, combined.middle) == ((0, 1), 900, False)
    assert np.array_equal(combined.total, sums[2:].sum(axis=0))


def test_when_more_than_half_stands_out_the_middle_is_taken() -> None:
    combined = rules.combine(buckets(20, wild=11), [50] * 20, rule="filter", least=100)

    assert combined.flagged == tuple(range(11))
    assert combined.middle
    assert combined.count == 100
    plain = rules.combine(buckets(20, wild=11), [50] * 20, rule="sum", least=100)
    assert abs(mean(combined) - 0.05).max() < 0.08 < abs(mean(plain) - 0.05).max()


@pytest.mark.parametrize("rule, wallets", [("median", 100), ("trimmed", 600)])
def test_no_coordinate_is_made_of_fewer_wallets_than_the_consumer_was_promised(
    rule: str, wallets: int
) -> None:
    sums = buckets(20, wild=3)
    combined = rules.combine(sums, [50] * 20, rule=rule, least=100)
    ordered = np.sort(sums, axis=0)
    edge = (20 - wallets // 50) // 2

    assert combined.count == wallets
    assert np.array_equal(combined.total, np.rint(ordered[edge : 20 - edge].sum(axis=0)))


def test_the_middle_widens_until_it_holds_the_minimum() -> None:
    combined = rules.combine(buckets(9), [30] * 9, rule="median", least=200)
    assert combined.count == 210  # seven buckets: odd like nine, and 200 wallets whichever they are


def test_what_is_left_of_a_filtered_round_keeps_the_minimum() -> None:
    """Two of six set aside leave 200 wallets; where 250 are promised, the middle of all is given instead."""
    sums = buckets(6, wild=2)
    assert rules.combine(sums, [50] * 6, rule="filter", least=200).count == 200
    kept = rules.combine(sums, [50] * 6, rule="filter", least=250)
    assert (kept.count, kept.middle, kept.flagged) == (300, True, (0, 1))


@pytest.mark.parametrize("rule", rules.RULES)
def test_too_few_buckets_are_summed_and_nobody_is_judged(rule: str) -> None:
    combined = rules.combine(buckets(4, wild=1), [50] * 4, rule=rule, least=100)
    assert (combined.flagged, combined.judged, combined.count) == ((), False, 200)


def test_honest_buckets_hardly_ever_stand_out() -> None:
    """Buckets of 5 to 20, as rounds have them; 2,000 of them in all."""
    flagged = sum(
        len(rules.outliers(buckets(count, seed=seed), np.full(count, 50)))
        for count in (5, 8, 20)
        for seed in range(60)
    )
    assert flagged <= 6


def test_the_cosine_rule_sees_buckets_that_point_the_other_way() -> None:
    sums = buckets(10)
    sums[4] = -sums[4]
    assert rules.outliers(sums, np.full(10, 50), rule="cosine") == (4,)
    assert rules.outliers(sums, np.full(10, 50), rule="norm") == ()


def test_long_vectors_are_judged_in_parts_with_the_same_result(monkeypatch: pytest.MonkeyPatch) -> None:
    sums = buckets(7, d=1000, wild=1)
    whole = [rules.combine(sums, [50] * 7, rule=rule, least=100) for rule in rules.RULES]
    monkeypatch.setattr(rules, "_COLUMNS", 64)
    for rule, before in zip(rules.RULES, whole, strict=True):
        after = rules.combine(sums, [50] * 7, rule=rule, least=100)
        assert (after.flagged, after.count) == (before.flagged, before.count)
        assert np.array_equal(after.total, before.total)


@pytest.mark.parametrize("counts, rule", [([50] * 4, "filter"), ([0] * 5, "filter"), ([50] * 5, "krum")])
def test_what_does_not_fit_is_refused(counts: list[int], rule: str) -> None:
    with pytest.raises(ValueError, match=r"bucket|rule"):
        rules.combine(buckets(5), counts, rule=rule, least=100)
