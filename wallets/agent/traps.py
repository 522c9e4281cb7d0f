"""Weights made to give a record away, recognised before anything is computed with them.

An imprint layer (Fowl et al. 2022, "Robbing the Fed") sorts records into bins: its units all look in one direction and differ
only in their bias, so that each unit's gradient holds few records. An honestly trained layer never looks like that: the first
weights are drawn at random and public, and every later step adds a sum over many wallets. This check costs a matrix product;
it is one wall of several, and passing it proves nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from collectives.terms.algorithm import Manifest, layout

LEAST_WIDTH = 8  # with fewer inputs, honest rows are often parallel by chance
MOST_ROWS = 256
PARALLEL = 0.995
PARALLEL_SHARE = 0.25


def looks_like_a_trap(manifest: Manifest, weights: np.ndarray[Any, np.dtype[np.float32]]) -> bool:
    """Whether a hidden linear layer has more than a quarter of its pairs of units parallel.

    `weights`: float32 [d], finite, d as the manifest says.
    """
    spans = layout(manifest)
    for layer, (start, _) in list(zip(manifest.layers, spans, strict=True))[:-1]:
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
