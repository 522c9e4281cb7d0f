"""Evidence against one wallet: who tampers is found, who does not is hardly ever, and the bound is a bound."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from aggregation.privacy.stream import words32
from aggregation.tampering import offenders
from aggregation.tampering.offenders import Account, together, visits_needed

CHANCE = together(1000, 50)


def test_the_chance_of_meeting_somebody_is_the_hypergeometric_one() -> None:
    exact = 1 - Fraction(math.comb(989, 49), math.comb(999, 49))
    assert exact <= together(1000, 50) < exact + Fraction(1, 10**15)
    assert together(20, 20) == pytest.approx(1.0)  # one bucket: everybody meets everybody


@pytest.mark.parametrize("wallets, bucket, most", [(1000, 50, 20), (1000, 20, 20), (250, 50, 20)])
def test_twenty_visits_are_enough_where_one_in_a_hundred_tampers(
    wallets: int, bucket: int, most: int
) -> None:
    chance = together(wallets, bucket)
    needed = visits_needed(share=chance, chance=chance)
    assert needed is not None and needed <= most


def test_a_wallet_that_is_never_in_a_bucket_that_stands_out_loses_all_suspicion() -> None:
    account = Account()
    for _ in range(6):
        account = account.after(hit=True, share=0.4, chance=CHANCE)
    before = account.odds
    for _ in range(10):
        account = account.after(hit=False, share=0.4, chance=CHANCE)
    assert before < 0.1
    assert account.odds == 1.0


@pytest.mark.parametrize("hits_of_ten", range(11))
def test_on_average_no_honest_wallet_gains(hits_of_ten: int) -> None:
    """For every chance a wallet may honestly have, the mean of the next multiplier is at most one, for every q."""
    for share, chance in itertools.product((0.05, 0.4, 0.7, 1.0), (0.05, CHANCE, 0.7)):
        honest = max(share, chance) * hits_of_ten / 10
        hit = Account().after(hit=True, share=share, chance=chance).stakes
        miss = Account().after(hit=False, share=share, chance=chance).stakes
        for one, other in zip(hit, miss, strict=True):
            grown = honest * math.exp(one / 1e9) + (1 - honest) * math.exp(other / 1e9)
            assert grown <= 1 + 1e-12


def test_a_chosen_victim_is_no_more_likely_accused_than_promised() -> None:
    """One in a hundred tampers, only when it meets the victim, and every one of its buckets stands out: the worst there is.

    200,000 victims over 40 visits; with a bound of 1/100,000 two are expected at most.
    """
    hit, miss = (
        np.array(Account().after(hit=what, share=0.05, chance=CHANCE).stakes) / 1e9 for what in (True, False)
    )
    hits = words32(bytes(16), 8_000_000).reshape(200_000, 40) < CHANCE * 2**32
    opened = np.cumsum(hits, axis=1) - hits > 0  # the first hit only opens the account
    stakes = np.zeros((200_000, len(hit)))
    most = np.full(200_000, -np.inf)
    for visit in range(40):
        step = np.where(hits[:, visit, np.newaxis], hit, miss)
        stakes += np.where(opened[:, visit, np.newaxis], step, 0.0)
        most = np.maximum(most, np.log(np.exp(stakes).mean(axis=1)))
    assert (most >= -math.log(offenders.FALSE_ACCUSATION)).sum() <= 7  # P(Poisson(2) > 7) is 0.1 %
    assert (most >= -math.log(1e-2)).mean() <= 1e-2


def test_numbers_are_rounded_against_the_accusation() -> None:
    account = Account()
    for _ in range(5):
        account = account.after(hit=True, share=0.5, chance=CHANCE)
    for q, stake in zip(offenders.STAKES, account.stakes, strict=True):
        assert stake < 5 * math.log(q / 0.5) * 1e9
    assert account.nano < math.log(np.exp(np.array(account.stakes) / 1e9).mean()) * 1e9


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="hit"):
        Account().after(hit=True, share=0.0, chance=CHANCE)
    with pytest.raises(ValueError, match="between"):
        Account().after(hit=False, share=1.5, chance=CHANCE)
