"""What every wallet of a cohort computes, at once: the same forward pass and loss as in a wallet's sandbox, mapped over wallets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import grad, vmap

from collectives.terms.algorithm import Manifest
from collectives.training.net import forward, loss

Floats = NDArray[np.float32]
CHUNK = 300_000
"""Scalars of updates held at a time: what fits a processor's cache is several times faster than what does not."""


def updates(
    manifest: Manifest, weights: Floats, x: Floats, y: Floats, cohort: Sequence[int]
) -> Iterator[tuple[NDArray[np.int_], NDArray[np.float64]]]:
    """(wallets, their raw updates float64 [n, d]) in chunks; one record per wallet, as `compute_update` gives them one by one."""
    flat = torch.from_numpy(np.array(weights, dtype=np.float32))
    size = max(1, CHUNK // flat.numel())
    members = np.array(cohort)
    for start in range(0, len(members), size):
        part = members[start : start + size]
        found = _many(manifest, flat, torch.from_numpy(x[part]), torch.from_numpy(y[part]))
        yield part, found.numpy().astype(np.float64)


def _many(manifest: Manifest, flat: Tensor, x: Tensor, y: Tensor) -> Tensor:
    def cost(own: Tensor, record: Tensor, answer: Tensor) -> Tensor:
        return loss(manifest, forward(manifest, own, record[None]), answer[None])

    one = grad(cost)
    if manifest.output.kind == "gradient":
        return vmap(one, in_dims=(None, 0, 0))(flat, x, y)
    steps, rate = manifest.training.steps, manifest.training.learning_rate_micro / 1e6

    def local(record: Tensor, answer: Tensor) -> Tensor:
        own = flat
        for _ in range(steps):
            own = own - rate * one(own, record, answer)
        return flat - own

    return vmap(local)(x, y)
