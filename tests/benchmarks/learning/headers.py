"""Headers of simulated rounds, checked by the protocol's own rules, and repeatable entropy."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from aggregation.secagg.messages.header import Header, PhaseSeconds
from aggregation.wire import signing
from collectives.services.plan import RING_BITS
from collectives.terms.algorithm import Manifest, output_length
from collectives.training.checkpoint import checkpoint_hash, weights_to_bytes


def header_of(
    manifest: Manifest,
    *,
    job: bytes,
    number: int,
    weights: NDArray[np.float32],
    noise_micro: int,
    value_bits: int,
    fraction_bits: int,
    bucket_size: int,
    bucket_min: int,
    release_min: int,
    development: bool = False,
) -> Header:
    """The header of round `number`; raises as the protocol does when its numbers do not fit.

    Buckets too large for a complete graph get a circulant one, as on a server.
    """
    whole = bucket_size <= 255
    return Header(
        job=job,
        round=number,
        manifest_hash=bytes.fromhex(manifest.hash),
        checkpoint_hash=checkpoint_hash(bytes.fromhex(manifest.hash), number - 1, weights_to_bytes(weights)),
        d=output_length(manifest),
        ring_bits=RING_BITS,
        q=value_bits,
        f=fraction_bits,
        clip_micro=manifest.output.clip_micro,
        noise_micro=noise_micro,
        bucket_size=bucket_size,
        bucket_min=bucket_min,
        release_min=release_min,
        graph="complete" if whole else "circulant",
        k=0 if whole else 100,
        threshold_ppm=760_000,
        log_root=bytes(32),
        log_size=1,
        distributor_key=signing.public_key(signing.generate(seeded(0))),
        deadlines=PhaseSeconds(advertise=30, share_keys=30, masked_input=30, consistency=30, unmask=30),
        development=development,
    )


def seeded(seed: int | str) -> Seeded:
    """An `rng` whose bytes follow from the seed."""
    return Seeded(seed)


class Seeded:
    """SHA-512 in counter mode; it can be kept and goes on where it was."""

    def __init__(self, seed: int | str) -> None:
        self._seed, self._count = seed, 0

    def __call__(self, size: int) -> bytes:
        blocks = range(self._count, self._count + -(-size // 64))
        self._count = blocks.stop
        return b"".join(
            hashlib.sha512(f"learning-sim:{self._seed}:{count}".encode()).digest() for count in blocks
        )[:size]
