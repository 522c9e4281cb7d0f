"""The accountant of the servers, the audit and the benchmarks: exact ε by privacy-loss distributions (dp-accounting).

Two readers, two numbers, both always stated:

* the *consumer*, and whoever reads the chain, sees released sums of at least `release_min` wallets;
* the *operator* of the aggregator sees the sums of buckets of at least `bucket_min`, and knows who was visited.

Without a secret cohort neither gets amplification: k visits with multiplier z are one Gaussian of multiplier z/√k (Dong, Roth, Su
2022, corollary 3.3), exactly. Where who is visited stays secret, a Poisson-sampled cohort is amplified towards the consumer; the
operator knows the cohort and stays where it was. Neighbours: one wallet takes part or sends nothing.

The discrete Gaussian is accounted for as the Gaussian of the same multiplier; with shares of a hundred units and more the two
differ by less than rounding. `budget` gives the bound that needs no such remark, and is what wallets use.
Wallets never import this module: dp-accounting brings SciPy along.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from dp_accounting import dp_event
from dp_accounting.pld import pld_privacy_accountant, privacy_loss_distribution

from aggregation.privacy.mechanism import Mechanism

STEP = 1e-4
"""Width of the privacy-loss grid; every ε is rounded up to the pessimistic side of it."""
LARGEST, SMALLEST = 1e4, 1e-2


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How cohorts are drawn when they stay secret: each wallet with `probability`, independently, for `rounds` rounds.

    `population` wallets; a drawn cohort above `cap` or below `least` is not used as drawn, which costs its chance in δ.
    """

    probability: float
    rounds: int
    population: int
    cap: int
    least: int

    def outside(self) -> float:
        """The chance that any round draws more than `cap` or fewer than `least` wallets (Chernoff bound on both sides)."""
        n, p = self.population, self.probability
        one = _chernoff(self.cap + 1, n, p) + _chernoff(self.least - 1, n, p)
        return min(1.0, self.rounds * one)


@dataclass(frozen=True, kw_only=True)
class Coins:
    """How a site draws by coins: each wallet with `probability`, for `rounds` rounds; at least `least` wallets are in a released sum.

    Unlike `Sampling` it keeps nothing secret but who was drawn: how many were is told, because their visits are paid for.
    """

    probability: float
    rounds: int
    least: int

    def share(self, delta: float) -> float:
        """The largest share of the wallets that could have come which a cohort is, but for a chance of delta over all rounds.

        Given how many came, every set of so many is as likely. Of n wallets more than max(least, share · n) come with a chance of at most
        exp(−n · KL(share ‖ probability)) (Chernoff), which is largest at n = least / share, however many there are. 1 where nothing
        smaller is sure.
        """
        low, high = self.probability, 1.0
        if low >= 1.0:
            return 1.0
        for _ in range(50):
            middle = (low + high) / 2
            wrong = math.exp(-self.least / middle * _divergence(middle, self.probability))
            low, high = (low, middle) if self.rounds * wrong <= delta else (middle, high)
        return high


@dataclass(frozen=True, kw_only=True)
class Statement:
    """The two epsilons of a plan at δ, and the conditions they hold under. math.inf where nothing can be claimed."""

    consumer: float
    operator: float
    delta: float
    visits: int
    amplified: bool

    def words(self) -> str:
        """One line for a page or a report."""
        how = "cohorts drawn in secret" if self.amplified else "cohorts known"
        return (
            f"Towards the consumer and the chain ε ≤ {_shown(self.consumer)} ({how}), towards the operator of the aggregator "
            f"ε ≤ {_shown(self.operator)}, at δ = {self.delta:g} and at most {self.visits} visits of one wallet."
        )


@lru_cache(maxsize=256)
def epsilon(multiplier: float, *, visits: int, delta: float) -> float:
    """ε of so many visits when everybody knows who was visited; math.inf without noise."""
    if multiplier <= 0:
        return math.inf
    if visits < 1:
        return 0.0
    deviation = multiplier / math.sqrt(visits)
    if deviation < SMALLEST:
        return math.inf
    # A coarser grid where ε is large keeps the distribution small; the rounding stays pessimistic.
    step = max(STEP, 1e-4 / deviation)
    loss = privacy_loss_distribution.from_gaussian_mechanism(
        deviation, value_discretization_interval=step, use_connect_dots=True
    )
    return float(loss.get_epsilon_for_delta(delta))


@lru_cache(maxsize=256)
def epsilon_sampled(multiplier: float, *, sampling: Sampling, delta: float) -> float:
    """ε towards a reader who does not know the cohorts: Poisson sampling, composed over the rounds; math.inf without noise."""
    left = delta - sampling.outside()
    if multiplier < SMALLEST or left <= 0:
        return math.inf
    accountant = pld_privacy_accountant.PLDAccountant(value_discretization_interval=STEP)
    one = dp_event.PoissonSampledDpEvent(sampling.probability, dp_event.GaussianDpEvent(multiplier))
    accountant.compose(one, sampling.rounds)
    return float(accountant.get_epsilon(left))


@lru_cache(maxsize=256)
def epsilon_coins(multiplier: float, *, coins: Coins, delta: float) -> float:
    """ε towards a reader who knows how many wallets were drawn, but not which ones; math.inf without noise.

    A cohort of known size is a sample without replacement: in place of a wallet that was not drawn another one was, so two
    cohorts lie up to 2Δ apart. What dominates is a Poisson sample of a Gaussian of half the multiplier (Zhu, Dong, Wang 2022, "Optimal
    Accounting of Differential Privacy via Characteristic Function", section on subsampling). A tenth of δ pays for sizes beyond
    `Coins.share`.
    """
    if multiplier < SMALLEST:
        return math.inf
    share = coins.share(delta / 10)
    if share >= 1.0:
        return math.inf  # known cohorts say as much
    accountant = pld_privacy_accountant.PLDAccountant(value_discretization_interval=STEP)
    one = dp_event.PoissonSampledDpEvent(share, dp_event.GaussianDpEvent(multiplier / 2))
    accountant.compose(one, coins.rounds)
    return float(accountant.get_epsilon(0.9 * delta))


def state(
    mechanism: Mechanism,
    *,
    release_min: int,
    bucket_min: int,
    visits: int,
    delta: float,
    sampling: Sampling | None = None,
    coins: Coins | None = None,
) -> Statement:
    """Both numbers of a plan. `visits`: how often one wallet takes part at most, which an agent's ledger enforces."""
    seen = mechanism.multiplier(release_min)
    consumer = epsilon(seen, visits=visits, delta=delta)
    if sampling is not None:
        consumer = min(consumer, epsilon_sampled(seen, sampling=sampling, delta=delta))
    amplified = sampling is not None
    if coins is not None:
        less = epsilon_coins(seen, coins=coins, delta=delta)
        consumer, amplified = min(consumer, less), less < consumer
    return Statement(
        consumer=consumer,
        operator=epsilon(mechanism.multiplier(bucket_min), visits=visits, delta=delta),
        delta=delta,
        visits=visits,
        amplified=amplified,
    )


def multiplier_for(
    target: float, *, delta: float, visits: int = 1, sampling: Sampling | None = None
) -> float:
    """The least multiplier, to three digits after the point and rounded up, whose ε does not exceed the target.

    Raises:
        ValueError: the target is not positive, or no multiplier reaches it at this δ.
    """
    if not target > 0:
        raise ValueError("a target ε must be positive")

    def spent(thousandths: int) -> float:
        z = thousandths / 1000
        if sampling is not None:
            return epsilon_sampled(z, sampling=sampling, delta=delta)
        return epsilon(z, visits=visits, delta=delta)

    low, high = 0, 500
    while spent(high) > target:
        low, high = high, high * 2
        if high > LARGEST * 1000:
            raise ValueError("no noise reaches this ε at this δ")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if spent(middle) > target else (low, middle)
    return high / 1000


def _chernoff(count: int, n: int, p: float) -> float:
    """A bound on how likely a binomial (n, p) is to be that far from its mean: exp(−n·KL(count/n ‖ p))."""
    if count < 0 or count > n:
        return 0.0
    return math.exp(-n * _divergence(count / n, p))


def _divergence(at: float, p: float) -> float:
    """KL(at ‖ p) of two coins, in nats."""
    no = (1 - at) * math.log((1 - at) / (1 - p)) if at < 1 else 0.0
    return (at * math.log(at / p) if at else 0.0) + no


def _shown(value: float) -> str:
    return "∞ (nothing is claimed)" if math.isinf(value) else f"{value:.2f}"
