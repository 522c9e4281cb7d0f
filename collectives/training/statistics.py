"""Answers that are no derivative: sums for a regression, the quality of a model, and queries. Numpy only, wallet and server alike.

Each function of a wallet returns the mean over its records of one vector per record, float64 [d] with d = `output_length`; how the
vector is laid out stands at each. `result` reads the mean over wallets back. A symmetric matrix is its upper triangle, row by row,
off-diagonal entries times √2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collectives.terms.algorithm import EVALUATION, Manifest
from collectives.training.metrics import KEPT_AWAY

Array = NDArray[np.float64]
LOSS_UNIT = -math.log(KEPT_AWAY)
"""The largest log-loss a score can have; losses travel in this unit, so that they lie in [0, 1]."""


def query(manifest: Manifest, x: Array) -> Array:
    """Of encoded columns x [n, width_in] in [−1, 1].

    `mean`: the columns. `histogram`: per column a one-hot of its bin, bin = floor((x + 1) / 2 · bins), the ends included.
    `covariance`: the triangle of φφᵀ, φ = (x, 1) / √(width_in + 1).
    """
    values = np.clip(np.asarray(x, dtype=np.float64), -1.0, 1.0)
    if manifest.output.kind == "mean":
        return _mean(values)
    if manifest.output.kind == "histogram":
        return _mean(_one_hot((values + 1.0) / 2.0, manifest.output.bins).reshape(len(values), -1))
    return packed(_second_moment(_phi(values, bias=True)))


def regression(manifest: Manifest, features: Array, target: Array) -> Array:
    """The triangle of φφᵀ, then φtᵀ row by row; φ = (features, 1 where the layer has a bias) / √k, features [n, ·], target [n, m]."""
    phi = _phi(np.asarray(features, dtype=np.float64), bias=manifest.layers[-1].bias)
    cross = phi.T @ np.asarray(target, dtype=np.float64) / len(phi)
    return np.concatenate([packed(_second_moment(phi)), cross.reshape(-1)])


def evaluation(manifest: Manifest, scores: Array, y: Array) -> Array:
    """Of predictions [n, width_out] and answers; per output, one after the other:

    * yes or no: log-loss / LOSS_UNIT, right at the threshold 0.5, one-hot of the score's bin if the answer is yes, then if no.
    * numbers: squared and absolute error (at most 1 each), the answer, its square.
    * classes (all outputs together): log-loss / LOSS_UNIT, right, confusion matrix [answer][prediction].
    """
    p, y = np.asarray(scores, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if manifest.loss == "mse":
        error = np.abs(p - y)
        parts = [np.minimum(error**2, 1.0), np.minimum(error, 1.0), y, y**2]
        return _mean(np.stack(parts, axis=2).reshape(len(p), -1))
    if manifest.loss == "softmax-cross-entropy":
        return _classes(p, y[:, 0].astype(int))
    yes = y >= 0.5
    loss = np.where(yes, _log_loss(p), _log_loss(1.0 - p))
    hot = _one_hot(p, manifest.output.bins)
    parts = [
        np.stack([loss, (p >= 0.5) == yes], axis=2),
        hot * yes[:, :, None],
        hot * ~yes[:, :, None],
    ]
    return _mean(np.concatenate(parts, axis=2).reshape(len(p), -1))


def moments(manifest: Manifest, mean: Array) -> tuple[Array, Array]:
    """(φφᵀ [k, k], φtᵀ [k, m]) of a mean answer; m is 0 for a covariance."""
    size = manifest.features
    cut = size * (size + 1) // 2
    return unpacked(mean[:cut], size), mean[cut:].reshape(size, -1)


def result(manifest: Manifest, mean: Array) -> dict[str, Any]:
    """What the mean over wallets says, in plain numbers; {} for kinds whose result is a model.

    Noise can push a share below 0 or a variance below its bound; such values are put to the bound.
    """
    kind = manifest.output.kind
    if kind == "mean":
        return {"mean": _plain(mean)}
    if kind == "histogram":
        shares = np.maximum(mean.reshape(manifest.width_in, -1), 0.0)
        total = shares.sum(axis=1, keepdims=True)
        return {"histogram": _plain(shares / np.where(total > 0, total, 1.0))}
    if kind == "covariance":
        second = moments(manifest, mean)[0] * manifest.features
        centre = second[-1, :-1]
        spread = second[:-1, :-1] - np.outer(centre, centre)
        np.fill_diagonal(spread, np.maximum(np.diagonal(spread), 0.0))
        return {"mean": _plain(centre), "covariance": _plain(spread)}
    return _quality(manifest, mean) if kind == EVALUATION else {}


def packed(matrix: Array) -> Array:
    """The upper triangle [k (k + 1) / 2] of a symmetric matrix [k, k]; its norm is the matrix's Frobenius norm."""
    rows, columns = np.triu_indices(len(matrix))
    values: Array = matrix[rows, columns] * np.where(rows == columns, 1.0, math.sqrt(2))
    return values


def unpacked(values: Array, size: int) -> Array:
    """The symmetric matrix [size, size] of a packed triangle."""
    rows, columns = np.triu_indices(size)
    matrix = np.zeros((size, size))
    matrix[rows, columns] = values / np.where(rows == columns, 1.0, math.sqrt(2))
    return matrix + np.triu(matrix, 1).T


def _quality(manifest: Manifest, mean: Array) -> dict[str, Any]:
    if manifest.loss == "mse":
        squared, absolute, value, square = np.maximum(mean.reshape(manifest.width_out, 4), 0.0).T
        variance = np.maximum(square - value**2, 1e-9)
        return {
            "rmse": float(np.mean(np.sqrt(squared))),
            "mean_absolute_error": float(np.mean(absolute)),
            "r2": float(np.mean(1.0 - squared / variance)),
        }
    if manifest.loss == "softmax-cross-entropy":
        confusion = np.maximum(mean[2:].reshape(manifest.width_out, -1), 0.0)
        return {
            "log_loss": float(mean[0] * LOSS_UNIT),
            "accuracy": float(mean[1]),
            "confusion": _plain(confusion),
        }
    rows = mean.reshape(manifest.width_out, -1)
    bins = manifest.output.bins
    areas = [_area(row[2 : 2 + bins], row[2 + bins :]) for row in rows]
    return {
        "log_loss": float(rows[:, 0].mean() * LOSS_UNIT),
        "accuracy": float(rows[:, 1].mean()),
        "auc": float(np.mean(areas)),
    }


def _area(positive: Array, negative: Array) -> float:
    """AUC from two histograms over the score: ties inside a bin count half. 0.5 when one of them is empty."""
    up, down = np.maximum(positive, 0.0), np.maximum(negative, 0.0)
    pairs = up.sum() * down.sum()
    below = np.cumsum(down) - down / 2
    return float((up * below).sum() / pairs) if pairs > 0 else 0.5


def _classes(p: Array, answer: NDArray[np.int_]) -> Array:
    rows, width = np.arange(len(p)), p.shape[1]
    chosen = p.argmax(axis=1)
    confusion = np.zeros((len(p), width, width))
    confusion[rows, answer, chosen] = 1.0
    head = np.stack([_log_loss(p[rows, answer]), chosen == answer], axis=1)
    return _mean(np.concatenate([head, confusion.reshape(len(p), -1)], axis=1))


def _log_loss(p: Array) -> Array:
    """Of the probability given to the right answer, in LOSS_UNIT: 0 to 1."""
    loss: Array = -np.log(np.clip(p, KEPT_AWAY, 1.0)) / LOSS_UNIT
    return loss


def _one_hot(share: Array, bins: int) -> Array:
    """[…] in [0, 1] -> […, bins]."""
    place = np.clip(np.floor(share * bins), 0, bins - 1).astype(int)
    return np.eye(bins)[place]


def _phi(values: Array, *, bias: bool) -> Array:
    whole = np.concatenate([values, np.ones((len(values), 1))], axis=1) if bias else values
    phi: Array = whole / math.sqrt(whole.shape[1])
    return phi


def _second_moment(phi: Array) -> Array:
    moment: Array = phi.T @ phi / len(phi)
    return moment


def _mean(rows: Array) -> Array:
    mean: Array = rows.mean(axis=0)
    return mean


def _plain(values: Array) -> Any:
    return [round(float(v), 6) for v in values] if values.ndim == 1 else [_plain(row) for row in values]
