"""Answers of many wallets to one model at once: what `net.compute_update` gives for each of them, computed together.

A host that keeps many wallets trains them so. Each wallet has its own copy of the weights as one row, so its gradient is in its own
row and never added to another's. torch adds up in another order than for one wallet alone, so answers agree with `compute_update` to
float32's rounding and not to the bit. (`torch.func.vmap` would say the same in fewer lines, and loads 80 MB of symbolic algebra.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from collectives.terms.algorithm import TRAINED, Layer, Manifest, layout
from collectives.training.net import compute_update, frozen

Floats = NDArray[np.float32]
TOGETHER = {"linear", "random", "layernorm", "relu", "tanh", "sigmoid"}


def compute_updates(
    manifest: Manifest, weights: Floats, x: Floats, y: Floats, seeds: Sequence[bytes]
) -> Floats:
    """One raw answer per wallet, float32 [wallets, output_length]; not yet clipped.

    Args:
        weights: float32 [parameter_count]. x: [wallets, n, width_in]. y: [wallets, n, width_out] (or as `compute_update` says).
        seeds: 32 bytes per wallet.
    """
    if _together(manifest):
        return _trained(manifest, weights, x, y)
    alone = [compute_update(manifest, weights, *each) for each in zip(x, y, seeds, strict=True)]
    return np.stack(alone)


def _together(manifest: Manifest) -> bool:
    """A dropout mask is drawn from each wallet's own seed, and statistics are no gradients: those run one by one."""
    return manifest.output.kind in TRAINED and all(layer.op in TOGETHER for layer in manifest.layers)


def _trained(manifest: Manifest, weights: Floats, x: Floats, y: Floats) -> Floats:
    inputs, targets = (torch.from_numpy(np.array(part, dtype=np.float32)) for part in (x, y))
    start = torch.from_numpy(np.array(weights, dtype=np.float32)).expand(len(x), -1)
    flat, rate = start, manifest.training.learning_rate_micro / 1e6
    for _ in range(manifest.training.steps):
        flat = flat.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(_losses(manifest, _forward(manifest, flat, inputs), targets), flat)
        if manifest.output.kind == "gradient":
            return gradient.numpy()
        flat = flat.detach() - rate * gradient
    return (start - flat).numpy()


def _losses(manifest: Manifest, out: Tensor, target: Tensor) -> Tensor:
    """The sum over wallets of each one's mean loss."""
    if manifest.loss == "softmax-cross-entropy":
        flat, labels = out.flatten(0, 1), target[..., 0].flatten().long()
        return functional.cross_entropy(flat, labels, reduction="sum") / out.shape[1]
    kind = functional.mse_loss
    if manifest.loss == "bce-with-logits":
        kind = functional.binary_cross_entropy_with_logits
    return kind(out, target, reduction="none").mean(dim=(1, 2)).sum()


def _forward(manifest: Manifest, flat: Tensor, x: Tensor) -> Tensor:
    """[wallets, n, width_in] -> [wallets, n, width_out] with one row of parameters per wallet."""
    for layer, (start, end) in zip(manifest.layers, layout(manifest), strict=True):
        x = _apply(layer, flat[:, start:end], x)
    return x


def _apply(layer: Layer, own: Tensor, x: Tensor) -> Tensor:
    match layer.op:
        case "linear":
            cut = layer.width_in * layer.width_out
            matrix = own[:, :cut].reshape(-1, layer.width_out, layer.width_in)
            out = torch.matmul(x, matrix.transpose(1, 2))
            return out + own[:, None, cut:] if layer.bias else out
        case "random":
            return functional.linear(x, *(part.to(x.dtype) for part in frozen(layer)))
        case "layernorm":
            width = layer.width_out
            return functional.layer_norm(x, (width,)) * own[:, None, :width] + own[:, None, width:]
        case "relu":
            return torch.relu(x)
        case "tanh":
            return torch.tanh(x)
    return torch.sigmoid(x)
