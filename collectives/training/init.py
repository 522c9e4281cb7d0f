"""Initial weights from a public seed, so that nobody can slip a crafted model in (numpy only).

seed = SHA-256("cssi/v1/initial-weights" ‖ manifest hash ‖ job id). A linear layer's weights are uniform in ±1/√(inputs), its bias
zero; the last linear layer starts at zero, so a model first predicts the same for everybody; a layer norm starts as identity; an
embedding is uniform in ±1. A query's answer starts at zero.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from collectives.terms.algorithm import Layer, Manifest, parameter_count

LABEL = b"cssi/v1/initial-weights"


def initial_weights(manifest: Manifest, job_id: bytes) -> NDArray[np.float32]:
    """float32 [d]. `job_id` is the UUID's 16 bytes."""
    seed = hashlib.sha256(LABEL + bytes.fromhex(manifest.hash) + job_id).digest()
    last = max((i for i, layer in enumerate(manifest.layers) if layer.op == "linear"), default=-1)
    parts = [
        _layer(layer, hashlib.sha256(seed + bytes([i])).digest()[:16], i == last)
        for i, layer in enumerate(manifest.layers)
    ]
    filled = [part for part in parts if part.size]
    return np.concatenate(filled) if filled else np.zeros(parameter_count(manifest), np.float32)


def uniform(key: bytes, count: int, bound: float) -> NDArray[np.float32]:
    """float32 [count] in ±bound from the AES-128-CTR stream of a 16-byte key, 24 bits each (exact in float32)."""
    stream = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(4 * count))
    words = np.frombuffer(stream, dtype="<u4") >> 8
    return ((words.astype(np.float64) / 2**24 * 2 - 1) * bound).astype(np.float32)


def _layer(layer: Layer, key: bytes, last: bool) -> NDArray[np.float32]:
    if layer.op == "layernorm":
        return np.concatenate([np.ones(layer.width_out, np.float32), np.zeros(layer.width_out, np.float32)])
    if layer.op == "embedding":
        return uniform(key, layer.parameters, 1.0)
    if layer.op != "linear":
        return np.zeros(0, np.float32)
    if last:
        return np.zeros(layer.parameters, np.float32)
    weights = uniform(key, layer.width_in * layer.width_out, 1 / math.sqrt(layer.width_in))
    return np.concatenate([weights, np.zeros(layer.width_out if layer.bias else 0, np.float32)])
