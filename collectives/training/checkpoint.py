"""A checkpoint's identity and its file.

hash = SHA-256("cssi/v1/checkpoint" ‖ manifest hash ‖ round as 8 bytes big-endian ‖ weights as float32 little-endian).
File: the 8 bytes `CSSICKPT`, the length of a JSON header as 4 bytes little-endian, the header (manifest, round, hash, facts), the
raw weights. Never pickle: opening a model must not run anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collectives.terms.algorithm import Manifest, parameter_count, parse_manifest
from collectives.terms.errors import TermsError

LABEL, MAGIC = b"cssi/v1/checkpoint", b"CSSICKPT"


def weights_to_bytes(weights: NDArray[np.float32]) -> bytes:
    return np.ascontiguousarray(weights, dtype="<f4").tobytes()


def weights_from_bytes(data: bytes) -> NDArray[np.float32]:
    return np.frombuffer(data, dtype="<f4")


def checkpoint_hash(manifest_hash: bytes, round: int, weights: bytes) -> bytes:  # noqa: A002 - the protocol's word
    """32 bytes. `round` is the number of the checkpoint: 0 for initial weights, r after round r."""
    return hashlib.sha256(LABEL + manifest_hash + round.to_bytes(8, "big") + weights).digest()


def write_file(manifest: Manifest, round: int, weights: bytes, facts: Mapping[str, Any]) -> bytes:  # noqa: A002
    """The file a consumer downloads."""
    digest = checkpoint_hash(bytes.fromhex(manifest.hash), round, weights).hex()
    header = {"manifest": dict(manifest.document), "round": round, "hash": digest, "facts": dict(facts)}
    body = json.dumps(header, sort_keys=True).encode()
    return MAGIC + len(body).to_bytes(4, "little") + body + weights


def read_file(data: bytes) -> tuple[Manifest, int, NDArray[np.float32], dict[str, Any]]:
    """(manifest, round, weights float32 [d], facts) of a downloaded file.

    Raises:
        TermsError: `not_a_checkpoint`, when it is cut, changed or something else.
    """
    try:
        if data[:8] != MAGIC:
            raise ValueError
        end = 12 + int.from_bytes(data[8:12], "little")
        header = json.loads(data[12:end])
        manifest, weights = parse_manifest(header["manifest"]), data[end:]
        digest = checkpoint_hash(bytes.fromhex(manifest.hash), header["round"], weights)
        if digest.hex() != header["hash"] or len(weights) != 4 * parameter_count(manifest):
            raise ValueError
    except (ValueError, KeyError, TypeError, OverflowError, AttributeError) as error:
        raise TermsError(
            "not_a_checkpoint", "This file is not a whole checkpoint. Download it again."
        ) from error
    return manifest, header["round"], weights_from_bytes(weights), header["facts"]
