"""Signatures that engines disagree about, made with the curve's arithmetic in the open (RFC 8032 section 5.1; slow, and only for this)."""

from __future__ import annotations

import hashlib
from typing import Any

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
BASE = bytes.fromhex("58" + "66" * 31)
ORDER_8 = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
Point = tuple[int, int]


def decode(encoded: bytes) -> Point:
    number = int.from_bytes(encoded, "little")
    y = number & ((1 << 255) - 1)
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return (P - x if x & 1 != number >> 255 else x), y


def encode(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def add(p: Point, q: Point) -> Point:
    k = D * p[0] * q[0] * p[1] * q[1] % P
    x = (p[0] * q[1] + q[0] * p[1]) * pow(1 + k, P - 2, P)
    return x % P, (p[1] * q[1] + p[0] * q[0]) * pow(1 - k, P - 2, P) % P


def multiply(point: Point, scalar: int) -> Point:
    result = (0, 1)
    for bit in f"{scalar:b}":
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def signature_vectors(seed: bytes, signed: bytes) -> dict[str, Any]:
    """One signature to accept, and three by the same key that hold under some reading of the equation 8·S·B = 8·R + 8·k·A."""
    secret = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little") & ((1 << 254) - 8) | 1 << 254
    public = encode(multiply(decode(BASE), secret))

    def by(r: int, torsion: Point = (0, 1), more: int = 0) -> bytes:
        first = encode(add(multiply(decode(BASE), r), torsion))
        k = int.from_bytes(hashlib.sha512(first + public + signed).digest(), "little") % ORDER
        return first + ((r + k * secret) % ORDER + more).to_bytes(32, "little")

    return {
        "public": public,
        "signed_bytes": signed,
        "accept": by(123_456_789),
        "reject": {
            "R outside the main subgroup": by(123_456_789, decode(ORDER_8)),
            "R of small order": by(0),
            "S not reduced": by(123_456_789, more=ORDER),
        },
    }
