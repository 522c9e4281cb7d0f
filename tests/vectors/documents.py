"""Vectors around the round: what a wallet computes before it masks, and the documents it signs. Written by `generate`."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from aggregation.privacy import noise, quantise, stream
from aggregation.wire import signing
from aggregation.wire.secret import Secret
from collectives.terms.algorithm import layout, manifest_hash, parse_manifest, stack
from collectives.terms.canonical import canonical
from collectives.terms.envelope import SignedDocument
from collectives.terms.errors import TermsError
from tests.unit.secagg.pair import Entropy
from tests.unit.terms.test_algorithm import CHANGES

TOLERANCE = 1e-5
"""How far a gradient of another engine may be from these, absolute and relative."""
MANIFEST: dict[str, Any] = {
    "version": 1,
    "name": "m",
    "purpose": "p",
    "inputs": ["age", "town"],
    "target": ["ill"],
    "width_in": 4,
    "width_out": 1,
    "layers": stack([3, 1]),
    "loss": "bce-with-logits",
    "training": {"learning_rate_micro": 1_000_000, "steps": 1},
    "output": {"kind": "gradient", "clip_micro": 1_000_000},
}


def quantiser_vectors() -> dict[str, Any]:
    """Doubles as hexadecimal bit patterns, so that −0 and subnormals survive JSON."""
    f, q, key = 10, 16, Entropy("quantiser")(16)
    values = [
        0.0,
        -0.0,
        5e-324,
        -5e-324,
        1.0,
        -1.0,
        0.1,
        -0.1,
        2.0**-10,
        -(2.0**-11),
        31.999,
        32.0,
        -32.0,
        1e300,
        -1e300,
    ]
    numbers = np.array(values, dtype=np.float64)
    made = quantise.quantise(numbers, fraction_bits=f, value_bits=q, rng=lambda n: key)
    refused = np.array([np.nan, np.inf, -np.inf], dtype=np.float64)
    return {
        "rule": "floor(g * 2^f + r / 2^32) in binary64, then clamped to ±(2^(q-1) - 1); not finite: refused",
        "f": f,
        "q": q,
        "key": key,
        "r_u32": stream.words32(key, len(values)),
        "values_binary64_be": [value.tobytes()[::-1].hex() for value in numbers],
        "quantised": made,
        "refused_binary64_be": [value.tobytes()[::-1].hex() for value in refused],
    }


def noise_vectors() -> dict[str, Any]:
    sigma_micro, f, key = 20_000, 8, Entropy("noise")(16)
    smallest, table = noise.thresholds(sigma_micro, f)
    return {
        "rule": "the smallest k whose threshold exceeds a 64-bit word u of the stream; thresholds floor(2^64 * P(K <= k))",
        "sigma_micro": sigma_micro,
        "f": f,
        "smallest_k": smallest,
        "thresholds_u64_hex": [f"{int(value):016x}" for value in table],
        "key": key,
        "words_u64_hex": [f"{int(word):016x}" for word in stream.words64(key, 12)],
        "samples": noise.sample(12, sigma_micro=sigma_micro, fraction_bits=f, rng=lambda n: key),
        "share_micro_of_clip_1_bucket_min_44": noise.floor_share_micro(1_000_000, 44),
    }


def manifest_vectors() -> dict[str, Any]:
    rejected = []
    for why, change in CHANGES.items():
        changed = copy.deepcopy(MANIFEST)
        change(changed)
        try:
            parse_manifest(changed)
        except TermsError as error:
            rejected.append({"why": why, "manifest": changed, "code": error.code})
    return {
        "accept": [
            {
                "manifest": MANIFEST,
                "canonical": canonical(MANIFEST),
                "hash": manifest_hash(MANIFEST),
                "layout": layout(parse_manifest(MANIFEST)),
            }
        ],
        "reject": rejected,
    }


NETS: dict[str, dict[str, Any]] = {
    "logistic regression": {"layers": stack([1]), "loss": "bce-with-logits", "width_out": 1},
    "two layers, relu": {"layers": stack([3, 1]), "loss": "bce-with-logits", "width_out": 1},
    "tanh, squared error": {"layers": stack([3, 2], "tanh"), "loss": "mse", "width_out": 2},
    "softmax over three classes": {"layers": stack([4, 3]), "loss": "softmax-cross-entropy", "width_out": 3},
}


def gradient_vectors() -> dict[str, Any]:
    """Gradients of four small nets; compared within `tolerance`, since engines add in different orders."""
    from collectives.training.net import compute_update

    nets = []
    for name, parts in NETS.items():
        document = {**MANIFEST, **parts, "output": {"kind": "gradient", "clip_micro": 10**9}}
        manifest = parse_manifest(document)
        size = layout(manifest)[-1][1]
        weights, x = numbers(f"{name} w", size) / 2, numbers(f"{name} x", 3 * 4).reshape(3, 4)
        y = targets(name, manifest.width_out, manifest.loss)
        update = compute_update(manifest, weights, x, y)
        rounded = [round(float(value), 7) for value in update]
        nets.append(
            {
                "name": name,
                "manifest": document,
                "weights": weights.tolist(),
                "x": x.tolist(),
                "y": y.tolist(),
                "update": [0.0 if value == 0 else value for value in rounded],
            }
        )
    return {"tolerance": TOLERANCE, "nets": nets}


def numbers(name: str, count: int) -> np.ndarray:
    """float32 in [−1, 1) with few digits, so that their decimal text is exact."""
    return (np.frombuffer(Entropy(name)(count), np.int8).astype(np.float32) / 128).astype(np.float32)


def targets(name: str, width: int, loss: str) -> np.ndarray:
    if loss == "softmax-cross-entropy":
        return np.array([[0], [2], [1]], dtype=np.float32)
    made = numbers(f"{name} y", 3 * width).reshape(3, width)
    return made if loss == "mse" else (made > 0).astype(np.float32)


def document_vectors() -> dict[str, Any]:
    """A permit (consent as the wallet keeps it) and a revocation: canonical form, hash, what is signed, signature."""
    collective, subscription = (Secret(Entropy(name)(32)) for name in ("collective", "subscription"))
    permit = {
        "version": 1,
        "collective_id": "12345678-1234-4234-8234-123456789012",
        "collective_key": signing.public_key(collective).hex(),
        "name": "Health — Zürich",
        "terms_hash": "11" * 32,
        "requirement_hash": "22" * 32,
        "subscription_key": signing.public_key(subscription).hex(),
        "agreement_hash": "33" * 32,
        "manifests": [manifest_hash(MANIFEST)],
        "algorithm_class": None,
        "notice_seconds": 1209600,
        "silence": "without",
        "rate": "5000000000000000",
        "bucket_min": 44,
        "release_min": 100,
        "issued": 1_800_000_000,
        "expires": 1_830_000_000,
    }
    revocation = {
        "version": 1,
        "collective_id": permit["collective_id"],
        "subscription_key": permit["subscription_key"],
        "agreement_hash": permit["agreement_hash"],
        "created": 1_800_000_100,
    }
    return {
        "documents": [signed("permit", permit, collective), signed("revocation", revocation, subscription)]
    }


def signed(kind: str, document: dict[str, Any], private: Secret) -> dict[str, Any]:
    envelope = SignedDocument.sign(kind, document, private)
    return {
        "private_key": private.reveal(),
        "canonical": canonical(document),
        "signed_bytes": signing.signed_bytes(
            f"cssi/v1/{kind}".encode(), {"hash": bytes.fromhex(envelope.hash)}
        ),
        "envelope": envelope.to_json(),
        "hash": envelope.hash,
    }
