"""Vectors around the round: what a wallet computes before it masks, and the documents it signs. Written by `generate`."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

import numpy as np

from aggregation.privacy import budget, noise, quantise, rotation, stream
from aggregation.wire import signing
from aggregation.wire.secret import Secret
from collectives.terms.algorithm import (
    layout,
    manifest_hash,
    output_length,
    parameter_count,
    parse_manifest,
    stack,
)
from collectives.terms.canonical import canonical
from collectives.terms.envelope import SignedDocument
from collectives.terms.errors import TermsError
from tests.unit.secagg.pair import Entropy
from tests.unit.terms.test_algorithm import CHANGES
from tests.vectors import algorithms

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


def rotation_vectors() -> dict[str, Any]:
    """A rotation in full, values as binary64 bit patterns: an implementation repeats it bit for bit."""
    seed = Entropy("rotation seed")(32)
    update = numbers("rotated", 5).astype(np.float64)
    turned = rotation.rotate(update, seed)
    return {
        "rule": "y = H·(s·x) / sqrt(d'), (a, b) -> (a + b, a - b) over distances 1, 2, 4, ...; s from AES-128-CTR under the key, 1 is -1",
        "seed": seed,
        "key": hashlib.sha256(rotation.LABEL + seed).digest()[:16],
        "d": update.size,
        "signs": rotation.signs(seed, turned.size).astype(int),
        "update_binary64_be": [value.tobytes()[::-1].hex() for value in update],
        "rotated_binary64_be": [value.tobytes()[::-1].hex() for value in turned],
        "back_binary64_be": [
            value.tobytes()[::-1].hex() for value in rotation.unrotate(turned, seed, update.size)
        ],
    }


def budget_vectors() -> dict[str, Any]:
    """Costs of a visit for header fields, and ε of sums of costs; an implementation agrees within `tolerance`."""
    costs = [
        {"clip_micro": clip, "noise_micro": share, "wallets": wallets, "coordinates": d, "f": f}
        for clip, share, d, f in [
            (1_000_000, 22_361, 4, 12),
            (4_000_000, 161_816, 159, 16),
            (1_000_000, 30_000, 16_384, 8),
        ]
        for wallets in (20, 100, 880)
    ]
    return {
        "rule": "D = clip + ceil(10^6 * sqrt(coordinates) / 2^f); rho of a visit = ceil(10^6 * D^2 / (2 * wallets * share^2)), "
        "all in millionths; eps = min over a > 1 of "
        "rho*a + (ln(1/delta) + (a-1)*ln(1-1/a) - ln a)/(a-1)",
        "tolerance": 1e-6,
        "costs": [
            row
            | {
                "rho_micro": budget.cost_micro(
                    row["clip_micro"],
                    row["noise_micro"],
                    wallets=row["wallets"],
                    coordinates=row["coordinates"],
                    fraction_bits=row["f"],
                )
            }
            for row in costs
        ],
        "epsilons": [
            {
                "rho_micro": rho,
                "delta_exponent": exponent,
                "epsilon": round(budget.epsilon(rho, delta_exponent=exponent), 9),
            }
            for rho in (0, 1, 1_000, 185_069, 500_000, 27_777_778)
            for exponent in (5, 6)
        ],
        "limits": [
            {"epsilon": limit, "delta_exponent": 6, "rho_micro": budget.rho_micro(limit)}
            for limit in (0, 1, 3, 8)
        ],
    }


def manifest_vectors() -> dict[str, Any]:
    rejected = []
    for why, change in CHANGES.items():
        changed = copy.deepcopy(MANIFEST)
        change(changed)
        try:
            parse_manifest(changed)
        except TermsError as error:
            rejected.append(
                {"why": why, "manifest": changed, "text": json.dumps(changed), "code": error.code}
            )
    accepted = [_accepted(MANIFEST)]
    for document in algorithms.EXAMPLES.values():
        accepted.append(_accepted(document) | {"length": output_length(parse_manifest(document))})
    return {"accept": accepted, "reject": rejected}


def _accepted(document: dict[str, Any]) -> dict[str, Any]:
    return {
        "manifest": document,
        "canonical": canonical(document),
        "hash": manifest_hash(document),
        "layout": layout(parse_manifest(document)),
    }


NETS: dict[str, dict[str, Any]] = {
    "logistic regression": {"layers": stack([1]), "loss": "bce-with-logits", "width_out": 1},
    "two layers, relu": {"layers": stack([3, 1]), "loss": "bce-with-logits", "width_out": 1},
    "tanh, squared error": {"layers": stack([3, 2], "tanh"), "loss": "mse", "width_out": 2},
    "softmax over three classes": {"layers": stack([4, 3]), "loss": "softmax-cross-entropy", "width_out": 3},
}


def gradient_vectors() -> dict[str, Any]:
    """What a wallet answers, before clipping; compared within `tolerance`, since engines add in different orders."""
    gradient = {"output": {"kind": "gradient", "clip_micro": 10**9}}
    nets = [_answer(name, {**MANIFEST, **parts, **gradient}) for name, parts in NETS.items()]
    for name, document in algorithms.NETS.items():
        drawn = {"seed": algorithms.SEED} if name == "dropout" else {}
        nets.append(_answer(name, document, **drawn))
    answers = [_answer(name, document) for name, document in algorithms.ANSWERS.items()]
    return {"tolerance": TOLERANCE, "nets": nets, "answers": answers}


def _answer(name: str, document: dict[str, Any], **drawn: bytes) -> dict[str, Any]:
    from collectives.training.net import compute_update

    manifest = parse_manifest(document)
    weights, x = (
        numbers(f"{name} w", parameter_count(manifest)) / 2,
        numbers(f"{name} x", 3 * 4).reshape(3, 4),
    )
    y = targets(name, manifest.width_out, manifest.loss)
    update = compute_update(manifest, weights, x, y, **drawn)
    rounded = [round(float(value), 7) for value in update]
    return {
        "name": name,
        "manifest": document,
        **drawn,
        "weights": weights.tolist(),
        "x": x.tolist(),
        "y": y.tolist(),
        "update": [0.0 if value == 0 else value for value in rounded],
    }


def numbers(name: str, count: int) -> np.ndarray:
    """float32 in [−1, 1) with few digits, so that their decimal text is exact."""
    return (np.frombuffer(Entropy(name)(count), np.int8).astype(np.float32) / 128).astype(np.float32)


def targets(name: str, width: int, loss: str) -> np.ndarray:
    if loss == "softmax-cross-entropy":
        return np.array([[0], [2], [1]], dtype=np.float32)
    if loss == "":
        return np.zeros((3, 0), dtype=np.float32)
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
