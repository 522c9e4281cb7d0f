"""Headers of simulated rounds, checked by the protocol's own rules, and repeatable entropy."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

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


def seeded(seed: int | str) -> Callable[[int], bytes]:
    """An `rng` whose bytes follow from the seed."""

    def blocks() -> Iterator[bytes]:
        count = 0
        while True:
            yield hashlib.sha512(f"learning-sim:{seed}:{count}".encode()).digest()
            count += 1

    source = blocks()
    return lambda size: b"".join(next(source) for _ in range(-(-size // 64)))[:size]
