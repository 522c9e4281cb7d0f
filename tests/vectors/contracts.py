"""The output contract from a raw answer to the words that are masked: clip, rounding, noise, with the private draws in their order."""

from __future__ import annotations

from typing import Any

import numpy as np

from aggregation.secagg.messages import Header
from tests.unit.secagg.pair import Entropy, header
from wallets.agent import output

CASES: dict[str, tuple[dict[str, Any], float]] = {
    "within the bound": ({"d": 5}, 0.1),
    "clipped": ({"d": 5, "clip_micro": 500_000}, 3.0),
    "clipped, longer than a block of the summation": ({"d": 301}, 1.0),
    "clamped to few bits": ({"d": 40, "q": 6, "clip_micro": 10**9}, 2.0),
    "without noise": ({"d": 16, "noise_micro": 0}, 1.0),
    "noise of many units": ({"d": 64, "q": 20, "f": 14, "noise_micro": 150_000}, 0.2),
    "nothing but noise": ({"d": 12}, 0.0),
    "rotated": ({"d": 11, "rotation_seed": bytes(range(32))}, 0.3),
    "clipped, then rotated": ({"d": 130, "rotation_seed": bytes(range(32)), "clip_micro": 700_000}, 1.0),
    "marked, within the bound": ({"d": 6, "noise_micro": 0}, 0.1),
    "marked, clipped": ({"d": 6, "clip_micro": 500_000}, 3.0),
    "marked, clipped, then rotated": ({"d": 131, "rotation_seed": bytes(range(32))}, 1.0),
}
"""Name -> header fields, size of the raw values. Of `marked` ones the last coordinate says whether the update was within its bound."""
_LOUD = header(d=5, f=30, noise_micro=10**12)


def contract_vectors() -> dict[str, Any]:
    return {
        "rule": "clip the float64 of the raw float32 to clip_micro / 10^6 (norm: numpy's pairwise sum of squares of x / max|x|), rotate with a "
        "rotation seed, round with the first draw, add noise with the second, clamp to +-(2^(q-1) - 1); marked: first clip to C = clip_micro / 10^6 / sqrt(1.01) and "
        "append 0.1 C when the update was no longer than C, else -0.1 C",
        "cases": [_case(name, header(**fields), size) for name, (fields, size) in CASES.items()],
        "refused": [
            {"why": "too short", "code": "short", "raw_f32": bytes(16)},
            {"why": "infinite", "code": "not_finite", "raw_f32": np.full(5, np.inf, "<f4").tobytes()},
            {"why": "not a number", "code": "not_finite", "raw_f32": np.full(5, np.nan, "<f4").tobytes()},
            {
                "why": "noise beyond any honest round",
                "code": "noise",
                "raw_f32": bytes(20),
                "header": _LOUD.to_bytes(),
            },
        ],
        "refused_header": header(d=5).to_bytes(),
    }


def _case(name: str, head: Header, size: float) -> dict[str, Any]:
    source, draws = Entropy(name), []

    def rng(length: int) -> bytes:
        draws.append(source(length))
        return draws[-1]

    noise = np.frombuffer(Entropy(("raw", name))(4 * head.d), "<i4").astype(np.float64) / 2**31
    marked = name.startswith("marked")
    raw = (noise[: head.d - marked] * size).astype("<f4").tobytes()
    values = output.contract(raw, head, rng, marked=marked)
    made = {"name": name, "header": head.to_bytes(), "raw_f32": raw, "draws": draws, "values": values}
    return made | {"marked": marked}
