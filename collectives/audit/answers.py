"""Wallets' answers, many at once, and the same as something an attacker can differentiate.

`answers` is what wallets send into the pipeline: the sandbox's own forward pass and loss, mapped over wallets where there is no
private seed in them, and else the sandbox's function wallet by wallet. `form` compares both on every audit.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import grad, vmap

from collectives.audit.dice import Dice
from collectives.terms.algorithm import TRAINED, Manifest
from collectives.terms.algorithm.outputs import ELM
from collectives.training.net import compute_update, forward, loss

Floats = NDArray[np.float64]
CHUNK = 300_000
"""Scalars of updates held at a time by the mapped computation."""
STEPS_FOLLOWED = 5


def answers(
    manifest: Manifest,
    weights: NDArray[np.float32],
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    dice: Dice,
) -> Floats:
    """float64 [n, d]: the raw answers of n wallets with one record each."""
    if manifest.output.kind not in TRAINED or any(layer.op == "dropout" for layer in manifest.layers):
        rows = [
            compute_update(manifest, weights, x[i : i + 1], y[i : i + 1], dice(32)) for i in range(len(x))
        ]
        return np.stack(rows).astype(np.float64)
    flat = torch.from_numpy(np.array(weights, dtype=np.float32))
    size = max(1, CHUNK // flat.numel())
    parts = [
        _mapped(manifest, flat, torch.from_numpy(x[i : i + size]), torch.from_numpy(y[i : i + size]))
        for i in range(0, len(x), size)
    ]
    return torch.cat(parts).double().numpy()


def differentiable(manifest: Manifest, flat: Tensor, x: Tensor, y: Tensor) -> Tensor | None:
    """[n, d] as a function of x that can be differentiated, or None where an answer is made of counts.

    Of many local steps five are followed and scaled up; dropout is left out, as its masks are private.
    """
    kind = manifest.output.kind
    if kind in TRAINED:
        return _mapped(manifest, flat, x, y, most=STEPS_FOLLOWED)
    if kind == "mean":
        return torch.clamp(x, -1.0, 1.0)
    if kind == "covariance":
        return _triangle(_phi(torch.clamp(x, -1.0, 1.0), bias=True))
    if kind == ELM:
        features = forward(manifest, flat, x, layers=len(manifest.layers) - 1)
        phi = _phi(features, bias=manifest.layers[-1].bias)
        cross = (phi[:, :, None] * y[:, None, :]).flatten(1)
        return torch.cat([_triangle(phi), cross], dim=1)
    return None


def clipped(rows: Tensor, bound: float) -> Tensor:
    """Each row scaled to the L2 bound where it is longer, as `aggregation.privacy.clipping` does."""
    return rows * torch.clamp(bound / (rows.norm(dim=1, keepdim=True) + 1e-12), max=1.0)


def _mapped(manifest: Manifest, flat: Tensor, x: Tensor, y: Tensor, most: int | None = None) -> Tensor:
    def cost(own: Tensor, record: Tensor, answer: Tensor) -> Tensor:
        return loss(manifest, forward(manifest, own, record[None]), answer[None])

    one = grad(cost)
    if manifest.output.kind == "gradient":
        return vmap(one, in_dims=(None, 0, 0))(flat, x, y)
    steps, rate = manifest.training.steps, manifest.training.learning_rate_micro / 1e6
    followed = min(steps, most or steps)

    def local(record: Tensor, answer: Tensor) -> Tensor:
        own = flat
        for _ in range(followed):
            own = own - rate * one(own, record, answer)
        return (flat - own) * (steps / followed)

    return vmap(local)(x, y)


def _phi(values: Tensor, *, bias: bool) -> Tensor:
    whole = torch.cat([values, torch.ones_like(values[:, :1])], dim=1) if bias else values
    return whole / math.sqrt(whole.shape[1])


def _triangle(phi: Tensor) -> Tensor:
    rows, columns = np.triu_indices(phi.shape[1])
    scale = torch.from_numpy(np.where(rows == columns, 1.0, math.sqrt(2))).to(phi.dtype)
    return phi[:, rows] * phi[:, columns] * scale
