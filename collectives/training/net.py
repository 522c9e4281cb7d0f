"""A manifest as a torch computation: one wallet's update, and predictions.

Runs in the wallet's sandbox and in the consumer's evaluation. Steps are taken by hand with `torch.autograd.grad`: importing an
optimiser costs a second and a sandboxed worker is forked for every visit.

An update points downhill's opposite: for `gradient` it is the gradient of the mean loss, for `delta` w_before − w_after. The server
steps against the mean of either.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from collectives.terms.algorithm import Layer, Manifest, layout, parameter_count
from collectives.training.init import uniform

Floats = NDArray[np.float32]


def compute_update(manifest: Manifest, weights: Floats, x: Floats, y: Floats, seed: bytes = b"") -> Floats:
    """One wallet's raw update, float32 [d]; not yet clipped.

    Args:
        weights: float32 [d]. x: [n, width_in]. y: [n, width_out], or [n, 1] class numbers for softmax.
        seed: makes dropout layers reproducible.
    """
    _check(manifest, weights, x)
    if seed:
        torch.manual_seed(int.from_bytes(seed[:8], "little") >> 1)
    flat = torch.from_numpy(np.array(weights, dtype=np.float32)).requires_grad_(True)
    inputs, target = (
        torch.from_numpy(np.array(x, dtype=np.float32)),
        torch.from_numpy(np.array(y, dtype=np.float32)),
    )
    if manifest.output.kind == "gradient":
        return _gradient(manifest, flat, inputs, target).numpy()
    start, rate = flat.detach().clone(), manifest.training.learning_rate_micro / 1e6
    for _ in range(manifest.training.steps):
        step = _gradient(manifest, flat, inputs, target)
        flat = (flat.detach() - rate * step).requires_grad_(True)
    return (start - flat.detach()).numpy()


def predict(manifest: Manifest, weights: Floats, x: Floats) -> Floats:
    """Outputs [n, width_out]: probabilities for bce and softmax, values for mse."""
    _check(manifest, weights, x)
    with torch.no_grad():
        out = forward(
            manifest,
            torch.from_numpy(np.array(weights, dtype=np.float32)),
            torch.from_numpy(np.array(x)),
            training=False,
        )
        if manifest.loss == "bce-with-logits":
            out = torch.sigmoid(out)
        elif manifest.loss == "softmax-cross-entropy":
            out = torch.softmax(out, dim=1)
        return out.numpy()


def loss(manifest: Manifest, out: Tensor, target: Tensor) -> Tensor:
    """Mean loss over records (and outputs)."""
    if manifest.loss == "bce-with-logits":
        return functional.binary_cross_entropy_with_logits(out, target)
    if manifest.loss == "softmax-cross-entropy":
        return functional.cross_entropy(out, target[:, 0].long())
    return functional.mse_loss(out, target)


def forward(manifest: Manifest, flat: Tensor, x: Tensor, *, training: bool) -> Tensor:
    """[n, width_in] -> [n, width_out] with the flat parameter vector."""
    for layer, (start, end) in zip(manifest.layers, layout(manifest), strict=True):
        x = _apply(layer, flat[start:end], x, training=training)
    return x


def _gradient(manifest: Manifest, flat: Tensor, x: Tensor, y: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(loss(manifest, forward(manifest, flat, x, training=True), y), flat)
    return gradient


def _apply(layer: Layer, own: Tensor, x: Tensor, *, training: bool) -> Tensor:
    match layer.op:
        case "linear":
            cut = layer.width_in * layer.width_out
            return functional.linear(
                x, own[:cut].view(layer.width_out, layer.width_in), own[cut:] if layer.bias else None
            )
        case "random":
            return functional.linear(x, *(part.to(x.dtype) for part in _frozen(layer)))
        case "layernorm":
            return functional.layer_norm(
                x, (layer.width_out,), own[: layer.width_out], own[layer.width_out :]
            )
        case "dropout":
            return functional.dropout(x, layer.rate_micro / 1e6, training)
        case "relu":
            return torch.relu(x)
        case "tanh":
            return torch.tanh(x)
    return torch.sigmoid(x)


def _frozen(layer: Layer) -> tuple[Tensor, Tensor]:
    """Weights and bias of a random layer, uniform in ±1/√(inputs) and ±1, from its public seed."""
    seed = bytes.fromhex(layer.seed)
    weights = uniform(seed[:16], layer.width_in * layer.width_out, layer.width_in**-0.5)
    bias = uniform(seed[16:], layer.width_out, 1.0)
    return torch.from_numpy(weights.reshape(layer.width_out, layer.width_in)), torch.from_numpy(bias)


def _check(manifest: Manifest, weights: Any, x: Any) -> None:
    if weights.shape != (parameter_count(manifest),):
        raise ValueError(f"the manifest has {parameter_count(manifest)} parameters, not {weights.shape}")
    if x.ndim != 2 or x.shape[1] != manifest.width_in:
        raise ValueError(f"records must have {manifest.width_in} columns")
