"""The server's step: a published, deterministic function of the weights and the mean update (numpy only).

FedAdam and FedAvgM of Reddi et al. 2021 ("Adaptive Federated Optimization", arXiv 2003.00295, algorithm 2), in float64 with
float32 weights, so that anybody can recompute a checkpoint from the one before it and the released mean.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from aggregation.wire import cbor

OPTIMISERS = ("sgd", "momentum", "adam")
_BETA1, _BETA2, _EPSILON, _MOMENTUM = 0.8, 0.99, 1e-8, 0.9
"""β₁ is 0.8 where papers say 0.9: a job has some twenty rounds, so a memory of ten would still hold the first ones at its end."""


@dataclass(frozen=True, kw_only=True)
class ServerState:
    """Weights float32 [d], moments float64 [d], and how many steps were taken."""

    weights: NDArray[np.float32]
    first: NDArray[np.float64] = field(repr=False)
    second: NDArray[np.float64] = field(repr=False)
    steps: int = 0

    @classmethod
    def start(cls, weights: NDArray[np.float32]) -> ServerState:
        zeros = np.zeros(weights.size, dtype=np.float64)
        return cls(weights=weights, first=zeros, second=zeros)

    def moments_to_bytes(self) -> bytes:
        """The optimiser's part, for a checkpoint row."""
        return cbor.encode(
            {
                "steps": self.steps,
                "first": self.first.astype("<f8").tobytes(),
                "second": self.second.astype("<f8").tobytes(),
            }
        )

    @classmethod
    def from_bytes(cls, weights: bytes, moments: bytes) -> ServerState:
        stored = cbor.decode(moments)
        return cls(
            weights=np.frombuffer(weights, dtype="<f4"),
            first=np.frombuffer(stored["first"], dtype="<f8"),
            second=np.frombuffer(stored["second"], dtype="<f8"),
            steps=stored["steps"],
        )


def step(
    state: ServerState,
    mean: NDArray[np.float64],
    *,
    optimiser: str,
    learning_rate_micro: int,
    decay_rounds: int = 0,
    full_rounds: int = 0,
) -> ServerState:
    """The state after one released mean update (float64 [d]).

    With `decay_rounds` > 0 the rate falls along half a cosine to a tenth until that step; before it falls, it stays for `full_rounds`.

    Raises:
        ValueError: an unknown optimiser, or a mean of the wrong length.
    """
    if mean.shape != state.weights.shape:
        raise ValueError("the mean update has another length than the model")
    rate = learning_rate_micro / 1e6 * _decay(state.steps - full_rounds, decay_rounds - full_rounds)
    count = state.steps + 1
    first, second = state.first, state.second
    if optimiser == "adam":
        first = _BETA1 * first + (1 - _BETA1) * mean
        second = _BETA2 * second + (1 - _BETA2) * mean * mean
        move = (first / (1 - _BETA1**count)) / (np.sqrt(second / (1 - _BETA2**count)) + _EPSILON)
    elif optimiser == "momentum":
        first = _MOMENTUM * first + mean
        move = first
    elif optimiser == "sgd":
        move = mean
    else:
        raise ValueError(f"the optimiser must be one of {', '.join(OPTIMISERS)}")
    weights = (state.weights.astype(np.float64) - rate * move).astype(np.float32)
    return replace(state, weights=weights, first=first, second=second, steps=count)


def _decay(done: int, rounds: int) -> float:
    if rounds <= 0:
        return 1.0
    return float(0.1 + 0.9 * 0.5 * (1 + np.cos(np.pi * np.clip(done / rounds, 0.0, 1.0))))
