"""The delivered model: parse it, hash it ourselves, check its weights, and turn the person's record into numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np

from aggregation.wire import cbor
from aggregation.wire.errors import WireError
from collectives.terms.algorithm import Manifest, output_length, parameter_count, parse_manifest
from collectives.terms.errors import TermsError
from collectives.terms.permit import Task
from collectives.training.checkpoint import checkpoint_hash
from collectives.training.features import Encoder
from wallets.agent.credentials import Record, project
from wallets.agent.errors import OutputRefused, ProtocolFault
from wallets.agent.sandbox.launcher import TrainJob
from wallets.agent.traps import looks_like_a_trap

LARGEST_WEIGHT = 1e4  # a weight beyond this has no honest use with clipped updates, but makes a good trap


@dataclass(frozen=True, kw_only=True)
class Payload:
    """A parsed payload. Hashes are over what arrived, so the machine can compare them with the signed task."""

    manifest: Manifest
    manifest_bytes: bytes
    manifest_hash: bytes
    weights: bytes
    checkpoint_hash: bytes
    weights_in_range: bool
    trap: bool


def open_payload(raw: bytes, task: Task) -> Payload:
    """Parse CBOR `{"manifest": bytes, "weights": bytes}`. Raises ProtocolFault when it is malformed."""
    return _opened(raw, task.round)


@lru_cache(maxsize=2)
def _opened(raw: bytes, number: int) -> Payload:
    """Of the bytes and the round alone, so wallets of one host that were sent the same bytes look at them once."""
    try:
        body = cbor.decode(raw)
        manifest_bytes, weights = body["manifest"], body["weights"]
        manifest = parse_manifest(manifest_bytes)
        manifest_hash = sha256(manifest_bytes).digest()
        values = np.frombuffer(weights, dtype="<f4")
    except (WireError, TermsError, KeyError, TypeError, ValueError):
        raise ProtocolFault("The delivered model is malformed.", code="wrong_payload") from None
    in_range = (
        values.size == parameter_count(manifest)
        and bool(np.isfinite(values).all())
        and bool((np.abs(values) <= LARGEST_WEIGHT).all())
    )
    return Payload(
        manifest=manifest,
        manifest_bytes=manifest_bytes,
        manifest_hash=manifest_hash,
        weights=weights,
        checkpoint_hash=checkpoint_hash(manifest_hash, number - 1, weights),
        weights_in_range=in_range,
        trap=in_range and looks_like_a_trap(manifest, values),
    )


def encode_job(payload: Payload, record: Record, requirement: Mapping[str, Any], seed: bytes) -> TrainJob:
    """Encode the required part of one record with the public constants of the requirement, shape [1, width].

    Raises OutputRefused (code encoding) when the manifest names fields the requirement does not have.
    """
    try:
        x, y = Encoder(requirement, payload.manifest).encode(project(record, requirement))
    except (TermsError, KeyError, TypeError, ValueError):
        raise OutputRefused("The algorithm does not fit the agreed data.", code="encoding") from None
    x, y = np.atleast_2d(x).astype("<f4"), np.atleast_2d(y).astype("<f4")
    return TrainJob(
        manifest=payload.manifest_bytes,
        weights=payload.weights,
        x=x.tobytes(),
        x_shape=x.shape,
        y=y.tobytes(),
        y_shape=y.shape,
        seed=seed,
        dimension=output_length(payload.manifest),
    )
