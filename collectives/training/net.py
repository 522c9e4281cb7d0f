"""A manifest as a torch computation: one wallet's answer, and predictions.

Runs in the wallet's sandbox and in the consumer's evaluation. Steps are taken by hand with `torch.autograd.grad`: importing an
optimiser costs a second and a sandboxed worker is forked for every visit.

An update points downhill's opposite: for `gradient` it is the gradient of the mean loss, for `delta` w_before − w_after. The server
steps against the mean of either. The other kinds are `statistics`.

A dropout layer's mask: the words (uint32, little-endian) of the AES-128-CTR stream of zeros under the first 16 bytes of
SHA-256("cssi/v1/dropout" ‖ seed ‖ layer as 1 byte ‖ local step as 4 bytes, big-endian). Unit j of record i has word
i · width + j; it is dropped when word · 10⁶ < rate_micro · 2³², and else divided by 1 − rate.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from collectives.terms.algorithm import EVALUATION, QUERIES, TRAINED, Layer, Manifest, layout, parameter_count
from collectives.training import statistics
from collectives.training.init import uniform

Floats = NDArray[np.float32]
DROPOUT = b"cssi/v1/dropout"


def compute_update(manifest: Manifest, weights: Floats, x: Floats, y: Floats, seed: bytes = b"") -> Floats:
    """One wallet's raw answer, float32 [output_length]; not yet clipped.

    Args:
        weights: float32 [parameter_count]. x: [n, width_in], at least one record. y: [n, width_out], or [n, 1] class
            numbers for softmax; of a query [n, 0].
        seed: decides dropout masks.
    """
    _check(manifest, weights, x)
    kind = manifest.output.kind
    if kind in QUERIES:
        return statistics.query(manifest, x.astype(np.float64)).astype(np.float32)
    if kind == EVALUATION:
        scores = predict(manifest, weights, x).astype(np.float64)
        return statistics.evaluation(manifest, scores, y.astype(np.float64)).astype(np.float32)
    flat = torch.from_numpy(np.array(weights, dtype=np.float32))
    inputs, target = (torch.from_numpy(np.array(part, dtype=np.float32)) for part in (x, y))
    if kind in TRAINED:
        return _trained(manifest, flat, inputs, target, seed)
    with torch.no_grad():
        features = forward(manifest, flat, inputs, layers=len(manifest.layers) - 1)
    return statistics.regression(manifest, features.double().numpy(), y.astype(np.float64)).astype(np.float32)


def _trained(manifest: Manifest, start: Tensor, x: Tensor, y: Tensor, seed: bytes) -> Floats:
    flat, rate = start, manifest.training.learning_rate_micro / 1e6
    for number in range(manifest.training.steps):
        flat = flat.detach().requires_grad_(True)
        value = loss(manifest, forward(manifest, flat, x, seed=seed, step=number), y)
        (gradient,) = torch.autograd.grad(value, flat)
        if manifest.output.kind == "gradient":
            return gradient.numpy()
        flat = flat.detach() - rate * gradient
    return (start - flat).numpy()


def predict(manifest: Manifest, weights: Floats, x: Floats) -> Floats:
    """Outputs [n, width_out]: probabilities for bce and softmax, values for mse. A query predicts nothing: ValueError."""
    _check(manifest, weights, x)
    if not manifest.layers:
        raise ValueError("a query has no model to predict with")
    with torch.no_grad():
        flat = torch.from_numpy(np.array(weights, dtype=np.float32))
        out = forward(manifest, flat, torch.from_numpy(np.array(x, dtype=np.float32)))
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


def forward(
    manifest: Manifest,
    flat: Tensor,
    x: Tensor,
    *,
    seed: bytes | None = None,
    step: int = 0,
    layers: int | None = None,
) -> Tensor:
    """[n, width_in] -> [n, width_out] with the flat parameter vector; with a seed as in training, without one as in use.

    `layers`: how many of them, from the first on; all by default.
    """
    for number, (layer, (start, end)) in enumerate(zip(manifest.layers, layout(manifest), strict=True)):
        if number == layers:
            break
        if layer.op == "dropout":
            x = x if seed is None else x * _mask(layer, len(x), seed, number, step).to(x.dtype)
        else:
            x = _apply(layer, flat[start:end], x)
    return x


def _apply(layer: Layer, own: Tensor, x: Tensor) -> Tensor:
    match layer.op:
        case "linear":
            cut = layer.width_in * layer.width_out
            return functional.linear(
                x, own[:cut].view(layer.width_out, layer.width_in), own[cut:] if layer.bias else None
            )
        case "random":
            return functional.linear(x, *(part.to(x.dtype) for part in frozen(layer)))
        case "embedding":
            return _embed(layer, own, x)
        case "layernorm":
            return functional.layer_norm(
                x, (layer.width_out,), own[: layer.width_out], own[layer.width_out :]
            )
        case "relu":
            return torch.relu(x)
        case "tanh":
            return torch.tanh(x)
    return torch.sigmoid(x)


def _embed(layer: Layer, own: Tensor, x: Tensor) -> Tensor:
    parts, column, used = [], 0, 0
    for block in layer.blocks:
        end, count = block.at + block.columns, block.columns * block.out
        matrix = own[used : used + count].view(block.out, block.columns)
        parts += [x[:, column : block.at], functional.linear(x[:, block.at : end], matrix)]
        column, used = end, used + count
    return torch.cat([*parts, x[:, column:]], dim=1)


def _mask(layer: Layer, records: int, seed: bytes, number: int, step: int) -> Tensor:
    """[records, width]: 0 where a unit is dropped, else 1 / (1 − rate)."""
    key = hashlib.sha256(DROPOUT + seed + bytes([number]) + step.to_bytes(4, "big")).digest()[:16]
    size = records * layer.width_out
    drawn = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(4 * size))
    words = np.frombuffer(drawn, dtype="<u4").astype(np.uint64) * 1_000_000
    kept = (words >= layer.rate_micro * 2**32) / (1 - layer.rate_micro / 1e6)
    return torch.from_numpy(kept.reshape(records, layer.width_out))


def frozen(layer: Layer) -> tuple[Tensor, Tensor]:
    """Weights and bias of a random layer, uniform in ±gain/√(inputs) and ±1, from its public seed."""
    seed, gain = bytes.fromhex(layer.seed), layer.gain_micro / 1e6
    weights = uniform(seed[:16], layer.width_in * layer.width_out, gain * layer.width_in**-0.5)
    bias = uniform(seed[16:], layer.width_out, 1.0)
    return torch.from_numpy(weights.reshape(layer.width_out, layer.width_in)), torch.from_numpy(bias)


def _check(manifest: Manifest, weights: Any, x: Any) -> None:
    if weights.shape != (parameter_count(manifest),):
        raise ValueError(f"the manifest has {parameter_count(manifest)} parameters, not {weights.shape}")
    if x.ndim != 2 or x.shape[1] != manifest.width_in:
        raise ValueError(f"records must have {manifest.width_in} columns")
