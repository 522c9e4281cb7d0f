"""Canaries: is the noise there that is claimed? A lower bound on ε from people who are in or out by a coin.

A canary wallet sends all it may in one coordinate of its own; the attacker reads that coordinate of every sum it could be in. Twenty
wallets (the smallest bucket) share a sum, each a canary or silent, two hundred buckets make the job: one run with 4,000 coins.

* Under formal terms a canary has the norm of the clip bound and comes as often as the terms plan; both bounds of `bounds` are held
  to the accountant's ε (times 1.02, for what the discrete Gaussian's table and rounding may add).
* Aggregate terms promise a σ of a tenth of the clip bound and no ε. Their canary has a tenth of the bound, so that this very promise is
  one of μ = 1; the full bound's μ = 10 is beyond what trials can measure, and is told as "nothing".

A bound is wrong with a chance of one in a thousand. It finds noise that is a quarter too small; less would need more coins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aggregation.privacy.rotation import padded
from collectives.audit.bounds import epsilon_of_mu, found_at, least_mu, mu_of_epsilon, one_run_epsilon
from collectives.audit.conditions import DELTA, Conditions
from collectives.audit.dice import Dice
from collectives.audit.parts import Curve, Figure, Part
from collectives.audit.subject import Subject
from collectives.audit.sums import protected, read

BUCKETS = 200
DOUBT, SLACK = 1e-3, 1.02
FLOOR_MU = 1.0
"""What a canary of a tenth of the clip bound may show under the noise floor of a tenth of the bound."""
OF_CLIP = 0.1
SHARES = (0.02, 0.05, 0.1, 0.3)
"""Shares of all coins that an auditor may dare to guess; the doubt is divided by their number."""
COORDINATES = 100
"""The bound does not depend on the length of an answer; of longer ones as many coordinates are used."""


@dataclass(frozen=True, kw_only=True)
class Game:
    """One run: what an attacker saw of those who were in and of those who were out, in canary norms per visit."""

    inside: NDArray[np.float64]
    outside: NDArray[np.float64]

    def mu(self) -> float:
        return least_mu(
            int((self.outside > 0.5).sum()),
            len(self.outside),
            int((self.inside <= 0.5).sum()),
            len(self.inside),
            DOUBT,
        )

    def one_run(self) -> float:
        """ε by guesses about the highest and the lowest scores, as many of each."""
        scores = np.concatenate([self.inside, self.outside])
        truth = np.arange(len(scores)) < len(self.inside)
        order, bounds = np.argsort(scores, kind="stable"), []
        for share in SHARES:
            half = max(1, int(len(scores) * share / 2))
            right = int((~truth[order[:half]]).sum() + truth[order[-half:]].sum())
            bounds.append(
                one_run_epsilon(right, 2 * half, len(scores), delta=DELTA, doubt=DOUBT / len(SHARES))
            )
        return max(bounds)


def canaries(subject: Subject) -> Part:
    made, formal = subject.conditions, subject.conditions.epsilon is not None
    norm = made.clip if formal else OF_CLIP * made.clip
    game = play(made, subject.length, norm, subject.dice("canaries"))
    mu, eps = game.mu(), game.one_run()
    if formal:
        promised = min(made.epsilon or 0.0, made.stated_epsilon(padded(subject.length)))
        limits = (SLACK * promised, SLACK * promised, SLACK * mu_of_epsilon(promised, DELTA))
        what = f"the whole clip bound, {made.visits} visits each, against ε ≤ {promised:.2f}"
    else:
        promised = epsilon_of_mu(FLOOR_MU, DELTA)
        limits = (SLACK * promised, epsilon_of_mu(SLACK * FLOOR_MU, DELTA), SLACK * FLOOR_MU)
        what = "a tenth of the clip bound, one visit each, against the noise floor"
    return Part(
        name="canaries_formal" if formal else "canaries",
        title="Canaries: the noise of formal terms" if formal else "Canaries: the noise floor",
        sentence=(
            f"{len(game.inside) + len(game.outside):,} people, in or out by a coin, in sums of {made.bucket_min}: {what}. "
            f"Bounds are wrong with a chance of {DOUBT:g}."
        ),
        figures=(
            Figure(
                name="least ε, one run, nothing assumed", value=eps, limit=limits[0], guess=limits[0] / SLACK
            ),
            Figure(
                name="least ε, read as a Gaussian mechanism",
                value=epsilon_of_mu(mu, DELTA),
                limit=limits[1],
                guess=promised,
            ),
            Figure(name="least μ", value=mu, limit=limits[2], guess=limits[2] / SLACK),
            Figure(
                name="canaries found at one false alarm in a hundred",
                value=found_at(game.inside, game.outside),
            ),
        ),
        curves=(_curve(game),),
    )


def play(conditions: Conditions, length: int, norm: float, dice: Dice) -> Game:
    """A run of `BUCKETS` buckets; every wallet's canary is in a coordinate of its own, where there are enough."""
    d, wallets = min(length, COORDINATES), conditions.bucket_min
    inside: list[float] = []
    outside: list[float] = []
    for _ in range(BUCKETS if wallets >= 10 else BUCKETS * 10):
        places, chosen = _places(dice, d, wallets), dice.coins(wallets)
        # A cohort is larger than a coordinate is wide when an answer is short: then only the first wallet of each is a canary.
        alone = np.array([np.flatnonzero(places == place)[0] == i for i, place in enumerate(places)])
        raw = np.zeros((wallets, d))
        raw[np.arange(wallets), places] = np.where(chosen & alone, norm, 0.0)
        total = np.zeros(d)
        for _ in range(conditions.visits):
            sent = protected(_loud(raw, norm, conditions), conditions, dice)
            total += read(sent.sum(axis=0), wallets, conditions, d)
        scores = total[places] / (norm * conditions.visits)
        inside += scores[chosen & alone].tolist()
        outside += scores[~chosen & alone].tolist()
    return Game(inside=np.array(inside), outside=np.array(outside))


def _places(dice: Dice, d: int, wallets: int) -> NDArray[np.int64]:
    return np.resize(dice.order(d), wallets)


def _loud(raw: NDArray[np.float64], norm: float, conditions: Conditions) -> NDArray[np.float64]:
    """A canary of the whole bound sends a thousand times as much and leaves it to the pipeline's clip."""
    return raw * 1_000.0 if norm >= conditions.clip else raw


def _curve(game: Game) -> Curve:
    edges = np.quantile(np.concatenate([game.inside, game.outside]), np.linspace(0.02, 0.98, 25))
    return Curve(
        title="Share of canaries with a score above x",
        x_label="score (1: a canary without noise)",
        labels=tuple(edges),
        series=(
            ("in the sum", tuple(float((game.inside > edge).mean()) for edge in edges)),
            ("not in the sum", tuple(float((game.outside > edge).mean()) for edge in edges)),
        ),
    )
