"""The yardstick: the same model trained with all records in one place, to convergence."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from collectives.terms.algorithm import ONE_SHOT, Manifest
from collectives.training.init import initial_weights
from collectives.training.net import compute_update, forward, loss
from collectives.training.outcome import advance, begin

Floats = NDArray[np.float32]


def train_centrally(
    manifest: Manifest, x: Floats, y: Floats, *, l2: float = 1.0, iterations: int = 500
) -> Floats:
    """Weights float32 [d] minimising mean loss + l2/(2n)·‖w‖², by L-BFGS with a strong Wolfe line search.

    l2 = 1 is what scikit-learn's logistic regression does by default (C = 1, there on a summed loss). Kinds that need no
    training (`elm-statistics`, queries) are computed from all records at once, without clip and noise.
    """
    if manifest.output.kind in ONE_SHOT:
        start = begin(manifest, initial_weights(manifest, bytes(16)))
        exact = compute_update(manifest, start.weights, x, y).astype(np.float64)
        return advance(
            manifest, start, exact, wallets=len(x), noise=0.0, optimiser="sgd", learning_rate_micro=1
        ).weights
    flat = torch.from_numpy(initial_weights(manifest, bytes(16)).astype(np.float64)).requires_grad_(True)
    inputs, target = torch.from_numpy(x.astype(np.float64)), torch.from_numpy(y.astype(np.float64))
    optimiser = torch.optim.LBFGS(
        [flat],
        max_iter=iterations,
        tolerance_grad=1e-9,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = (
            loss(manifest, forward(manifest, flat, inputs), target) + l2 / (2 * len(x)) * flat.square().sum()
        )
        value.backward()
        return value

    optimiser.step(closure)
    return flat.detach().numpy().astype(np.float32)
