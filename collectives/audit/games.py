"""One person, two possible answers, one sum: how well somebody who knows all the rest tells which it was.

The reader knows both answers, and the mean and spread of everybody's; the sum holds the person's real answer, those of others by
chance, and the noise of all. The score is a matched filter, whitened coordinate by coordinate: the best there is when coordinates
are independent, and good otherwise. Homer et al. 2008 and Dwork et al. 2015 ("Robust Traceability from Trace Amounts") did this to means.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aggregation.privacy.clipping import clip
from collectives.audit.answers import answers
from collectives.audit.bounds import auc
from collectives.audit.subject import Subject
from collectives.audit.sums import protected, read

Floats = NDArray[np.float64]
SUMS = 200
MOST_HELD = 8_000_000
"""Scalars of others' answers held at once. Where a release is larger it is played with fewer wallets, which is easier to win."""


class Crowd:
    """Sums over the others of a cohort, each wallet's answer sent through the pipeline. They are drawn with replacement, so that a
    sum of n spreads as n independent people do."""

    def __init__(self, subject: Subject, weights: NDArray[np.float32], wallets: int) -> None:
        held = max(1, min(2 * wallets, MOST_HELD // subject.length))
        self.wallets = max(1, min(wallets, held))
        self.subject, self.weights = subject, weights
        self.dice = subject.dice(f"crowd:{self.wallets}")
        x, y = subject.draw(self.dice, held)
        raw = np.nan_to_num(answers(subject.manifest, weights, x, y, self.dice))
        kept = clip(raw, subject.conditions.clip)
        self.mean, spread = kept.mean(axis=0), kept.var(axis=0)
        noise = subject.conditions.sigma(self.wallets)
        self.weight = 1.0 / (self.wallets * spread + noise**2 + 1e-9 * subject.conditions.clip**2)
        self.sums = self._sums(protected(raw, subject.conditions, self.dice))

    def play(self, real: Floats, other: Floats) -> float:
        """How often the right one of two is told, 0.5 by guessing.

        Raw answers [t, d] of t people, as they are and as they might have been: both truths, every sum, all people.
        """
        clip_bound = self.subject.conditions.clip
        filters = (clip(real, clip_bound) - clip(other, clip_bound)) * self.weight
        seen = [self._projected(raw, filters) for raw in (real, other)]
        crowd = self.sums @ filters.T
        wins = [
            auc(crowd[:, t] + seen[0][t], crowd[:, t] + seen[1][t])
            for t in range(len(real))
            if np.any(filters[t])
        ]
        return float(np.mean(wins or [0.5]))

    def _projected(self, raw: Floats, filters: Floats) -> list[Floats]:
        """For each person what the own answer, with noise that is new in every sum, adds to the score: [SUMS] each."""
        made, rounds = [], max(1, min(16, 2_000_000 // max(1, self.subject.length * len(raw))))
        for _ in range(rounds):
            sent = protected(raw, self.subject.conditions, self.dice)
            read_back = read(sent, 1, self.subject.conditions, self.subject.length)
            made.append((read_back * filters).sum(axis=1))
        drawn = np.stack(made)
        return [drawn[self.dice.below(rounds, SUMS), t] for t in range(len(raw))]

    def _sums(self, sent: NDArray[np.int64]) -> Floats:
        others = max(0, self.wallets - 1)
        picked = self.dice.below(len(sent), SUMS, others) if others else np.zeros((SUMS, 0), np.int64)
        counts = np.zeros((SUMS, len(sent)))
        np.add.at(counts, (np.arange(SUMS)[:, None], picked), 1.0)
        total = counts @ sent.astype(np.float64)
        return read(total, 1, self.subject.conditions, self.subject.length) - others * self.mean
