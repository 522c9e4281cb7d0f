"""Weights at which algorithms are attacked: trained for a while, or crafted by somebody who wants records.

Crafted weights follow two papers: an *imprint* (Fowl et al. 2022, "Robbing the Fed", arXiv 2110.13057) lets all units of the first
learned layer look in one direction and differ in their threshold, so that neighbouring units hold few records between them; a
*sparse* trap (Boenisch et al. 2023, "When the Curious Abandon Honesty", arXiv 2112.02918) has units that hardly anybody excites.
With tanh and sigmoid a steep unit has a gradient only where it turns, so that an imprint's units are bands. Later layers pass
everything on with one strength, and weights are scaled such that nearly all of a gradient lies in the planted layer.

Nobody can bring such weights into a round: first weights follow from a public seed, every wallet recomputes them, and later ones
from released sums. The attack shows what would happen if that wall fell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from collectives.audit.answers import answers
from collectives.audit.conditions import Conditions
from collectives.audit.dice import Dice
from collectives.audit.sums import summed
from collectives.terms.algorithm import ACTIVATIONS, TRAINED, Layer, Manifest, layout
from collectives.training.net import forward
from collectives.training.outcome import advance, begin

Weights = NDArray[np.float32]
Floats = NDArray[np.float64]
Draw = Callable[[Dice, int], tuple[NDArray[np.float32], NDArray[np.float32]]]
ROUNDS, COHORT, RATE_MICRO = 12, 64, 200_000
SMALL = 1e-2


def trained(manifest: Manifest, conditions: Conditions, first: Weights, draw: Draw, dice: Dice) -> Weights:
    """`first` after twelve rounds of FedAdam over 64 people each, through the pipeline. What is predicted follows from the records
    here, so that weights grow as those of a model that learned something."""
    if manifest.output.kind not in TRAINED:
        return first
    state, rule = begin(manifest, first), dice.normal(manifest.width_in, manifest.width_out)
    for _ in range(ROUNDS):
        x, y = draw(dice, COHORT)
        raw = answers(manifest, state.weights, x, _taught(manifest, x @ rule, y), dice)
        if not np.isfinite(raw).all():
            return state.weights
        mean = summed(raw, conditions, dice) / COHORT
        state = advance(
            manifest, state, mean, wallets=COHORT, noise=0.0, optimiser="adam", learning_rate_micro=RATE_MICRO
        )
    return state.weights


def _taught(manifest: Manifest, scores: Floats, y: NDArray[np.float32]) -> NDArray[np.float32]:
    """Answers in the form of y that follow from scores [n, width_out]."""
    if manifest.loss == "softmax-cross-entropy":
        return scores.argmax(axis=1)[:, None].astype(np.float32)
    centred = scores - scores.mean(axis=0)
    made = centred > 0 if manifest.loss == "bce-with-logits" else 1.0 / (1.0 + np.exp(-centred))
    return np.asarray(made, dtype=np.float32).reshape(y.shape)


@dataclass(frozen=True, kw_only=True)
class Trap:
    """Crafted weights. The planted layer has weights [units, width] and thresholds in the flat vector from `start` on.

    `steps`: records lie between neighbouring units (relu imprint) and not in a unit of their own.
    """

    name: str
    weights: Weights
    start: int
    units: int
    width: int
    layer: int
    steps: bool


def planted(manifest: Manifest) -> int | None:
    """The number of the layer a trap can stand in: the first learned one with thresholds, if an activation follows."""
    if manifest.output.kind not in TRAINED:
        return None
    for number, layer in enumerate(manifest.layers[:-1]):
        if layer.op == "linear":
            turns = any(later.op in ACTIVATIONS for later in manifest.layers[number + 1 :])
            return number if layer.bias and turns else None
    return None


def before(manifest: Manifest, weights: Weights, x: NDArray[np.float32], layer: int) -> Floats:
    """What the layer sees of records [n, width_in]: float64 [n, width]."""
    with torch.no_grad():
        return (
            forward(manifest, torch.from_numpy(weights), torch.from_numpy(x), layers=layer).double().numpy()
        )


def traps(manifest: Manifest, first: Weights, x: NDArray[np.float32], cohort: int, dice: Dice) -> list[Trap]:
    """All that can be planted; `x`: public people [n, width_in], on whose spread thresholds are set for cohorts of this size."""
    number = planted(manifest)
    if number is None:
        return []
    layer = manifest.layers[number]
    seen = before(manifest, first, x, number)
    turn = next(later.op for later in manifest.layers[number + 1 :] if later.op in ACTIVATIONS)
    made = [("imprint", *_imprint(layer, seen, turn, dice), turn == "relu")]
    if turn == "relu":
        made.append(("sparse", *_sparse(layer, seen, cohort, dice), False))
    start = layout(manifest)[number][0]
    return [
        Trap(
            name=name,
            weights=_whole(manifest, first, number, rows, thresholds, turn),
            start=start,
            units=layer.width_out,
            width=layer.width_in,
            layer=number,
            steps=steps,
        )
        for name, rows, thresholds, steps in made
    ]


def _imprint(layer: Layer, seen: Floats, turn: str, dice: Dice) -> tuple[Floats, Floats]:
    direction = dice.normal(layer.width_in)
    direction /= np.linalg.norm(direction)
    along = seen @ direction
    places = np.quantile(along, (np.arange(layer.width_out) + 0.5) / layer.width_out)
    spread = float(np.quantile(along, 0.95) - np.quantile(along, 0.05)) or 1.0
    steep = SMALL if turn == "relu" else 4.0 * layer.width_out / spread
    return np.outer(np.full(layer.width_out, steep), direction), -steep * places


def _sparse(layer: Layer, seen: Floats, cohort: int, dice: Dice) -> tuple[Floats, Floats]:
    rows = dice.normal(layer.width_out, layer.width_in)
    rows *= SMALL / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows, -np.quantile(seen @ rows.T, 1.0 - 1.0 / max(2, cohort), axis=0)


def _whole(
    manifest: Manifest, first: Weights, number: int, rows: Floats, thresholds: Floats, turn: str
) -> Weights:
    """The flat vector: layers before stay, the planted one, and later ones that pass its units on with equal strength."""
    made = np.array(first, dtype=np.float64)
    last = max(i for i, layer in enumerate(manifest.layers) if layer.op == "linear")
    for i, (layer, (start, end)) in enumerate(zip(manifest.layers, layout(manifest), strict=True)):
        if i < number or layer.op != "linear":
            continue
        cut = start + layer.width_in * layer.width_out
        made[cut:end] = 0.0
        if i == number:
            made[start:cut], made[cut:end] = rows.reshape(-1), thresholds
            continue
        through = np.full((layer.width_out, layer.width_in), 1.0 / layer.width_in)
        if i == last:
            through *= 1.0 / SMALL if turn == "relu" else 10.0 * np.sqrt(layer.width_in)
        if turn != "relu" and i == _next_linear(manifest, number):
            # Saturated neighbours cancel, so that the scores stay where the loss has a slope.
            through *= np.where(np.arange(layer.width_in) % 2, -1.0, 1.0) * layer.width_in**0.5
        made[start:cut] = through.reshape(-1)
    return made.astype(np.float32)


def _next_linear(manifest: Manifest, number: int) -> int:
    return next(i for i, layer in enumerate(manifest.layers) if i > number and layer.op == "linear")
