"""The yardstick: the same model trained with all records in one place, to convergence."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from collectives.terms.algorithm import Manifest
from collectives.training.init import initial_weights
from collectives.training.net import forward, loss

Floats = NDArray[np.float32]


def train_centrally(
    manifest: Manifest, x: Floats, y: Floats, *, l2: float = 1.0, iterations: int = 500
) -> Floats:
    """Weights float32 [d] minimising mean loss + l2/(2n)·‖w‖², by L-BFGS with a strong Wolfe line search.

    l2 = 1 is what scikit-learn's logistic regression does by default (C = 1, there on a summed loss).
    """
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
            loss(manifest, forward(manifest, flat, inputs, training=False), target)
            + l2 / (2 * len(x)) * flat.square().sum()
        )
        value.backward()
        return value

    optimiser.step(closure)
    return flat.detach().numpy().astype(np.float32)
