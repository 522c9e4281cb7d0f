"""Weights made to give a record away, recognised before anything is computed with them.

An imprint layer (Fowl et al. 2022, "Robbing the Fed") sorts records into bins: its units all look in one direction and differ
only in their bias, so that each unit's gradient holds few records. A sparse trap (Boenisch et al. 2023, "When the Curious Abandon
Honesty") has units that hardly any record excites, so that the gradient of one belongs to one person. Honestly trained layers
look like neither: the first weights are drawn at random and public, and every later step adds a sum over many wallets.

These checks cost two matrix products; they are one wall of several, and passing them proves nothing. The probes of the second
are uniform in the inputs' range, so a trap that is fitted to where people's records really lie can pass it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from collectives.terms.algorithm import ACTIVATIONS, Layer, Manifest, layout
from collectives.training.init import uniform

Array = np.ndarray[Any, np.dtype[np.float64]]
LEAST_WIDTH = 8  # with fewer inputs, honest rows are often parallel by chance
MOST_ROWS = 256
PARALLEL = 0.995
PARALLEL_SHARE = 0.25
PROBES, PROBE_KEY = 256, b"cssi/v1/probes\x00\x00"
SELDOM, SELDOM_SHARE = 0.05, 0.5
"""A unit that fewer than 1 in 20 probes excite is seldom; honest training leaves few of the first layer's so."""
LAYERNORM_EPSILON = 1e-5


def looks_like_a_trap(manifest: Manifest, weights: np.ndarray[Any, np.dtype[np.float32]]) -> bool:
    """Whether a hidden layer has more than a quarter of its pairs of units parallel, or the first more than half of them seldom.

    `weights`: float32 [d], finite, d as the manifest says.
    """
    if not any(layer.op == "linear" for layer in manifest.layers[:-1]):
        return False
    return _parallel(manifest, weights) or _seldom(manifest, weights)


def _parallel(manifest: Manifest, weights: np.ndarray[Any, np.dtype[np.float32]]) -> bool:
    for layer, (start, _) in list(zip(manifest.layers, layout(manifest), strict=True))[:-1]:
        if layer.op != "linear" or min(layer.width_in, layer.width_out) < LEAST_WIDTH:
            continue
        rows = weights[start : start + layer.width_in * layer.width_out]
        if _parallel_share(rows.reshape(layer.width_out, layer.width_in)) > PARALLEL_SHARE:
            return True
    return False


def _parallel_share(rows: np.ndarray[Any, np.dtype[np.float32]]) -> float:
    """Of all pairs of rows that are not zero, the share that points the same or the opposite way."""
    picked = rows[:: max(1, len(rows) // MOST_ROWS)].astype(np.float64)
    length = np.linalg.norm(picked, axis=1)
    units = picked[length > 0] / length[length > 0, None]
    count = len(units)
    if count < LEAST_WIDTH:
        return 0.0
    parallel = int((np.abs(units @ units.T) > PARALLEL).sum()) - count
    return parallel / (count * (count - 1))


def _seldom(manifest: Manifest, weights: np.ndarray[Any, np.dtype[np.float32]]) -> bool:
    """Follows probes to the first activation behind a linear layer, the one that reads people's columns; looks at it if it is a relu.

    Deeper units die in honest training with a brisk rate, and tanh and sigmoid saturate; the first relus do neither.
    """
    values = uniform(PROBE_KEY, PROBES * manifest.width_in, 1.0).astype(np.float64)
    values = values.reshape(PROBES, manifest.width_in)
    learned = False
    for layer, (start, end) in list(zip(manifest.layers, layout(manifest), strict=True))[:-1]:
        if learned and layer.op in ACTIVATIONS:
            seldom = (values >= 0).mean(axis=0) < SELDOM
            return layer.op == "relu" and layer.width_in >= LEAST_WIDTH and bool(seldom.mean() > SELDOM_SHARE)
        values = _forward(layer, weights[start:end].astype(np.float64), values)
        learned = learned or layer.op == "linear"
    return False


def _forward(layer: Layer, own: Array, x: Array) -> Array:
    match layer.op:
        case "linear":
            cut = layer.width_in * layer.width_out
            made: Array = x @ own[:cut].reshape(layer.width_out, layer.width_in).T
            return made + own[cut:] if layer.bias else made
        case "random":
            return _random(layer, x)
        case "embedding":
            return _embedding(layer, own, x)
        case "layernorm":
            centred = x - x.mean(axis=1, keepdims=True)
            scaled: Array = centred / np.sqrt(centred.var(axis=1, keepdims=True) + LAYERNORM_EPSILON)
            return scaled * own[: layer.width_out] + own[layer.width_out :]
        case "relu":
            return np.maximum(x, 0.0)
        case "tanh":
            return np.tanh(x)
        case "sigmoid":
            return (1 + np.tanh(x / 2)) / 2
    return x


def _random(layer: Layer, x: Array) -> Array:
    seed, reach = bytes.fromhex(layer.seed), layer.gain_micro / 1e6 * layer.width_in**-0.5
    matrix = uniform(seed[:16], layer.width_in * layer.width_out, reach).astype(np.float64)
    made: Array = x @ matrix.reshape(layer.width_out, layer.width_in).T
    return made + uniform(seed[16:], layer.width_out, 1.0)


def _embedding(layer: Layer, own: Array, x: Array) -> Array:
    parts, column, used = [], 0, 0
    for block in layer.blocks:
        end, count = block.at + block.columns, block.columns * block.out
        matrix = own[used : used + count].reshape(block.out, block.columns)
        parts += [x[:, column : block.at], x[:, block.at : end] @ matrix.T]
        column, used = end, used + count
    return np.concatenate([*parts, x[:, column:]], axis=1)
