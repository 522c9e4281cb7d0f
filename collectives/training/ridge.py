"""Ridge regression from released sums, with the noise in them taken into account. Numpy only, deterministic.

The sums are noisy: of a symmetric matrix of k features with noise of deviation σ in each packed coordinate, noise alone makes
eigenvalues of ±σ√(2k) (Wigner's semicircle). So eigenvalues below zero are put to zero and σ√k is added to the penalty; without that
the smallest, purely random ones would decide the model. Without noise this is the plain closed form.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def solve(second: Array, cross: Array, *, penalty: float, noise: float) -> Array:
    """The coefficients [k, m] that minimise ‖φβ − t‖² + λ‖β‖² over the summed records.

    Args:
        second: Σφφᵀ [k, k]. cross: Σφtᵀ [k, m].
        penalty: λ without noise. noise: σ of the noise in a packed coordinate of these sums.
    """
    values, vectors = np.linalg.eigh(second)
    strength = penalty + noise * math.sqrt(len(second))
    held = np.maximum(values, 0.0) + strength
    floor = 1e-12 * max(float(held.max(initial=0.0)), 1e-300)
    inverse = np.where(held > floor, 1.0 / np.maximum(held, floor), 0.0)
    coefficients: Array = vectors @ (inverse[:, None] * (vectors.T @ cross))
    return coefficients
