"""From a released mean to the next checkpoint, for every kind of answer; numpy only, so a web process can do it.

| kind | weights of the checkpoint | kept beside them (`ServerState.first`, `.second`) |
|---|---|---|
| gradient, delta | the model after the optimiser's step | its moments |
| elm-statistics | the last layer, solved from all sums so far | the sum over all wallets; [wallets, variance of its noise] |
| mean, histogram, covariance | the mean over all wallets | the same |
| evaluation | the model that is judged, unchanged | the same |

The last three add up over rounds: a wallet answers once, so each round's wallets are others.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collectives.terms.algorithm import EVALUATION, QUERIES, TRAINED, Manifest, output_length
from collectives.training.plateau import Evaluation
from collectives.training.ridge import solve
from collectives.training.statistics import LOSS_UNIT, moments, result
from collectives.training.update import ServerState, step

Array = NDArray[np.float64]


def begin(manifest: Manifest, weights: NDArray[np.float32]) -> ServerState:
    """The state before the first round."""
    if manifest.output.kind in TRAINED:
        return ServerState.start(weights)
    return ServerState(weights=weights, first=np.zeros(output_length(manifest)), second=np.zeros(2))


def advance(
    manifest: Manifest,
    state: ServerState,
    mean: Array,
    *,
    wallets: int,
    noise: float,
    optimiser: str,
    learning_rate_micro: int,
    decay_rounds: int = 0,
    full_rounds: int = 0,
) -> ServerState:
    """The state after one released mean (float64 [d]) over so many wallets, whose coordinates carry noise of deviation `noise`.

    The optimiser, its rate and its decay matter to gradients and deltas only.

    Raises:
        ValueError: a mean of the wrong length, or an unknown optimiser.
    """
    if mean.shape != (output_length(manifest),):
        raise ValueError("the mean has another length than this algorithm's answers")
    if manifest.output.kind in TRAINED:
        return step(
            state,
            mean,
            optimiser=optimiser,
            learning_rate_micro=learning_rate_micro,
            decay_rounds=decay_rounds,
            full_rounds=full_rounds,
        )
    total = state.first + mean * wallets
    known = state.second + np.array([wallets, (noise * wallets) ** 2])
    added = replace(state, first=total, second=known, steps=state.steps + 1)
    return replace(added, weights=_weights(manifest, added))


def findings(manifest: Manifest, state: ServerState) -> dict[str, Any]:
    """What the answers so far say, in plain numbers, with how many wallets said it and how sure that is.

    {} for kinds whose result is the model itself, and before the first round.
    """
    said = result(manifest, _mean(state)) if manifest.output.kind not in TRAINED and state.steps else {}
    if not said:
        return {}
    wallets, variance = state.second
    return said | {"wallets": int(wallets), "noise": float(math.sqrt(variance) / wallets)}


def judged(manifest: Manifest, state: ServerState) -> Evaluation:
    """The loss that an evaluation's answers so far say a model has, with its standard error: from sampling and from noise.

    A nat and a squared error both spread by half a unit at most in models worth judging; that is public knowledge about losses, not about
    these wallets.
    """
    wallets, variance = (float(value) for value in state.second)
    mean, each = _mean(state), 1 if manifest.loss == "softmax-cross-entropy" else manifest.width_out
    unit = 1.0 if manifest.loss == "mse" else LOSS_UNIT
    loss = float(mean.reshape(each, -1)[:, 0].mean()) * unit
    return Evaluation(loss=loss, error=math.sqrt(0.25 / wallets + (unit / wallets) ** 2 * variance))


def _weights(manifest: Manifest, state: ServerState) -> NDArray[np.float32]:
    kind = manifest.output.kind
    if kind == EVALUATION:
        return state.weights
    if kind in QUERIES:
        return _mean(state).astype(np.float32)
    second, cross = moments(manifest, state.first)
    size = manifest.features
    penalty = manifest.output.ridge_micro / 1e6 / size
    layer, noise = manifest.layers[-1], math.sqrt(state.second[1])
    found = solve(second, cross, penalty=penalty, noise=noise, constant=layer.bias) / math.sqrt(size)
    parts = [found[: layer.width_in].T.reshape(-1), found[layer.width_in :].reshape(-1)]
    return np.concatenate(parts).astype(np.float32)


def _mean(state: ServerState) -> Array:
    mean: Array = state.first / max(float(state.second[0]), 1.0)
    return mean
