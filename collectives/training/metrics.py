"""How good a model is on people whose answer is known (numpy only)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
KEPT_AWAY = 1e-7
"""How far a score stays from 0 and 1 where its logarithm is taken."""


def accuracy(labels: Array, scores: Array) -> float:
    """Share of right answers at the threshold 0.5. Shapes [n]; labels 0 or 1, scores probabilities."""
    return float(np.mean((scores >= 0.5) == (labels >= 0.5)))


def auc(labels: Array, scores: Array) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half (Mann-Whitney).

    NaN when only one class is there.
    """
    positive = labels >= 0.5
    count = int(positive.sum())
    if count in (0, labels.size):
        return float("nan")
    _, inverse, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    ranks = (last - (sizes - 1) / 2)[inverse]
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (labels.size - count)))


def log_loss(labels: Array, scores: Array) -> float:
    """Mean negative log-likelihood in nats, scores kept a little away from 0 and 1."""
    p = np.clip(scores.astype(np.float64), KEPT_AWAY, 1 - KEPT_AWAY)
    return float(-np.mean(np.where(labels >= 0.5, np.log(p), np.log1p(-p))))


def rmse(values: Array, predictions: Array) -> float:
    """Root mean squared error."""
    return float(np.sqrt(np.mean(np.square(values - predictions))))
