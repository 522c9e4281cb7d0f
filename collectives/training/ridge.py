"""Ridge regression from released sums, with the noise in them taken into account. Numpy only.

The sums are noisy: of a symmetric matrix of k features with noise of deviation σ in each packed coordinate, noise alone makes
eigenvalues of ±σ√(2k) (Wigner's semicircle). So eigenvalues below zero are put to zero and σ√k is added to the penalty; without that
the smallest, purely random ones would decide the model. The constant is not penalised: noise shrinks what a model says of
people's differences, not what it says of all of them. Without noise this is the plain closed form.

It goes through LAPACK, so another machine may differ in the last bits of a float64, rarely in a float32 of the checkpoint: whoever
recomputes one compares within rounding, not by its hash.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SMALLEST = 1e-12
"""Directions with less than this share of the largest eigenvalue count as not observed."""


def solve(second: Array, cross: Array, *, penalty: float, noise: float, constant: bool) -> Array:
    """The coefficients [k, m] that minimise Σ‖φβ − t‖² + λ‖β‖² over the summed records.

    Args:
        second: Σφφᵀ [k, k]. cross: Σφtᵀ [k, m].
        penalty: λ without noise. noise: σ of the noise in a packed coordinate of these sums.
        constant: the last feature is the same for everybody; its coefficient stays out of the penalty.
    """
    values, vectors = np.linalg.eigh(second)
    possible = (vectors * np.maximum(values, 0.0)) @ vectors.T
    penalised = np.ones(len(second))
    penalised[-1] = 0.0 if constant else 1.0
    strength = penalty + noise * math.sqrt(len(second))
    coefficients: Array = (
        np.linalg.pinv(possible + strength * np.diag(penalised), rcond=SMALLEST, hermitian=True) @ cross
    )
    return coefficients
