"""Exact statistics of an attack: what can be said about ε from so many guesses, whatever the noise is.

* Clopper and Pearson 1934: the interval of a share, exact for a binomial.
* One run (Steinke, Nasr, Jagielski 2023, "Privacy Auditing with One (1) Training Run", arXiv 2305.08846, theorem 5.2 and appendix D):
  m people are each in or out by a coin; of the r guesses an auditor dares, v are right. Nothing is assumed about the mechanism.
* In-or-out game read as a Gaussian one (Nasr et al. 2023, "Tight Auditing of Differentially Private Machine Learning", arXiv
  2302.07956; Dong, Roth, Su 2022): error rates bound μ, μ bounds ε. Tighter, and right for mechanisms that claim to be Gaussian.
"""

from __future__ import annotations

import math

import numpy as np
from dp_accounting import get_epsilon_gaussian, get_sigma_gaussian
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import beta, binom, norm

from collectives.training import metrics

Floats = NDArray[np.float64]
MOST_EPSILON = 100.0
POINTED_OUT = 1 / 11
"""The share of a sum's people that may be pointed out: a cell of eleven, the largest chance of recognising somebody that rules for the
publication of medical records accept (European Medicines Agency, guidance on policy 0070; Health Canada: 0.09)."""
OF_THREE = 1 / 3
"""What the exact mean of three people tells of each of them, as R²: fewer than three to a cell is what official statistics never
publish (threshold rule; Hundepool et al. 2012, "Statistical Disclosure Control")."""


def upper_share(hits: int, trials: int, doubt: float) -> float:
    """The largest share that `hits` of `trials` do not refute at this doubt (one-sided Clopper-Pearson); 1 for no trials."""
    return 1.0 if hits >= trials else float(beta.ppf(1.0 - doubt, hits + 1, trials - hits))


def least_mu(false_in: int, outs: int, false_out: int, ins: int, doubt: float) -> float:
    """The least μ of a Gaussian mechanism under which an attacker can err so seldom: in-or-out at one fixed threshold.

    Args:
        false_in: people who were out and were called in, of `outs`. false_out: the other way round, of `ins`.
        doubt: chance that the bound is wrong, shared by both rates.
    """
    a, b = upper_share(false_in, outs, doubt / 2), upper_share(false_out, ins, doubt / 2)
    if a + b >= 1.0:
        return 0.0
    return float(norm.ppf(1.0 - a) - norm.ppf(b))


def auc_of_mu(mu: float) -> float:
    """How often the best reader of a μ-Gaussian mechanism tells which of two answers is in it."""
    return float(norm.cdf(mu / math.sqrt(2)))


def epsilon_of_mu(mu: float, delta: float) -> float:
    """ε at δ of a μ-Gaussian mechanism, which is a Gaussian one of sensitivity 1 and σ = 1/μ."""
    return float(get_epsilon_gaussian(1.0 / mu, delta)) if mu > 0 else 0.0


def mu_of_epsilon(eps: float, delta: float) -> float:
    """The largest μ whose ε at δ does not exceed this one."""
    return 1.0 / float(get_sigma_gaussian(eps, delta))


def one_run_epsilon(right: int, guesses: int, people: int, *, delta: float, doubt: float) -> float:
    """The largest ε that `right` of `guesses` refute at this doubt; 0 when they refute none."""

    def left(eps: float) -> float:
        return _chance(right, guesses, people, eps, delta) - doubt

    if left(0.0) > 0:
        return 0.0
    return MOST_EPSILON if left(MOST_EPSILON) <= 0 else float(brentq(left, 0.0, MOST_EPSILON))


def _chance(right: int, guesses: int, people: int, eps: float, delta: float) -> float:
    """At most how likely so many right guesses are under (ε, δ): a binomial, and what δ can add to it."""
    each = 1.0 / (1.0 + math.exp(-eps))
    tail = float(binom.sf(right - 1, guesses, each))
    below = np.cumsum(binom.pmf(right - np.arange(1, right + 1), guesses, each)) if right else np.zeros(1)
    added = float(np.max(below / np.arange(1, len(below) + 1), initial=0.0))
    return min(1.0, tail + 2.0 * people * delta * added)


def auc(inside: Floats, outside: Floats) -> float:
    """How often somebody inside scores above somebody outside; ties count half (Mann and Whitney 1947)."""
    labels = np.repeat([1.0, 0.0], [len(inside), len(outside)])
    return metrics.auc(labels, np.concatenate([inside, outside]))


def found_at(inside: Floats, outside: Floats, false_share: float = 0.01) -> float:
    """Share of those inside who score above all but `false_share` of those outside (Carlini et al. 2022, arXiv 2112.03570)."""
    return float((inside > np.quantile(outside, 1.0 - false_share, method="higher")).mean())


def beyond_chance(hits: int, people: int, stray: int, strangers: int, doubt: float = 1e-3) -> float:
    """The share of people hit beyond the share of strangers that the same guesses hit; 0 while it can be chance.

    One-sided binomial test against the strangers' share, with one more of them counted as hit, so that none is not never.
    """
    chance = min(1.0, (stray + 1) / (strangers + 1))
    if hits == 0 or float(binom.sf(hits - 1, people, chance)) > doubt:
        return 0.0
    return max(0.0, hits / people - stray / strangers)
