"""Headers: what follows from one for the wallets of a bucket, and those a wallet refuses. Written by `generate`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aggregation.secagg.errors import RemoteProtocolError
from aggregation.secagg.graph import Graph
from aggregation.secagg.messages import Header
from aggregation.wire import cbor
from tests.unit.secagg.pair import header

PRODUCTION = {"development": False, "bucket_size": 50, "bucket_min": 45, "release_min": 100}
ACCEPTED: tuple[tuple[dict[str, Any], tuple[int, ...]], ...] = (
    ({}, (2, 3, 5)),
    (PRODUCTION, (45, 50, 99)),
    ({**PRODUCTION, "bucket_min": 20, "threshold_ppm": 760_000}, (20, 44, 50)),
    ({"graph": "circulant", "k": 4, "bucket_size": 9, "ring_bits": 16, "q": 12}, (4, 5, 6, 9)),
    ({"graph": "circulant", "k": 254, "bucket_size": 1 << 10, "threshold_ppm": 666_667}, (255, 256, 1024)),
    ({"bucket_size": 256, "bucket_min": 100, "release_min": 100, "threshold_ppm": 1_000_000}, (256,)),
    ({"d": 9, "rotation_seed": bytes(range(32))}, (5,)),
    ({"d": 1, "rotation_seed": bytes(32), "ring_bits": 16, "q": 13}, (5,)),
)
"""Header fields, sizes of a bucket to look at."""
REFUSED: tuple[dict[str, Any], ...] = (
    {**PRODUCTION, "bucket_min": 19},
    {**PRODUCTION, "release_min": 99},
    {"release_min": 1},
    {"bucket_min": 1},
    {"bucket_min": 5, "release_min": 4},
    {"bucket_size": 1},
    {"bucket_size": (1 << 20) + 1, "graph": "circulant", "k": 2},
    {"threshold_ppm": 500_000},
    {"threshold_ppm": 1_000_001},
    {"q": 30},
    {"q": 1},
    {"q": 33},
    {"ring_bits": 16, "q": 14},
    {"ring_bits": 24},
    {"ring_bits": "32"},
    {"f": 31},
    {"k": 2},
    {"graph": "circulant", "k": 3},
    {"graph": "circulant", "k": 0},
    {"graph": "circulant", "k": 256},
    {"graph": "star"},
    {"graph": ["complete"]},
    {"bucket_size": 257},
    {"d": 0},
    {"d": (1 << 28) + 1},
    {"round": 0},
    {"round": True},
    {"round": None},
    {"job": bytes(15)},
    {"log_root": "root"},
    {"log_size": 0},
    {"rotation_seed": bytes(31)},
    {"rotation_seed": None},
    {"distributor_key": bytes(32)},
    {"distributor_key": b"\xff" * 32},
    {"deadlines": {"advertise": 1}},
    {"deadlines": [1, 1, 1, 1, 1]},
    {
        "deadlines": dict.fromkeys(
            ("advertise", "share_keys", "masked_input", "consistency", "unmask", "rest"), 9
        )
    },
    {"deadlines": dict.fromkeys(("advertise", "share_keys", "masked_input", "consistency", "unmask"), 0)},
    {
        "deadlines": dict.fromkeys(
            ("advertise", "share_keys", "masked_input", "consistency", "unmask"), 604_801
        )
    },
    {"development": 1},
    {"clip_micro": 0},
    {"noise_micro": -1},
    {"noise_micro": 10**12 + 1},
)


def header_vectors() -> dict[str, Any]:
    return {
        "accept": [_accepted(header(**fields), sizes) for fields, sizes in ACCEPTED],
        "reject": [_refused(fields) for fields in REFUSED],
    }


def _accepted(head: Header, sizes: tuple[int, ...]) -> dict[str, Any]:
    return {
        "header": head.to_bytes(),
        "hash": head.hash(),
        "padded_d": head.padded_d,
        "words": head.words,
        "largest_bucket": head.largest_bucket,
        "buckets": [*_buckets(head, sizes)],
    }


def _buckets(head: Header, sizes: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    for size in sizes:
        graph = Graph(head, size)
        for position in {0, 1, size - 1}:
            near = graph.neighbours(position)
            ends = [*near[:3], *near[-3:]]
            yield {
                "members": size,
                "threshold": graph.threshold,
                "position": position,
                "degree": graph.degree,
                "first_and_last_neighbours": ends,
            }


def _refused(fields: dict[str, Any]) -> dict[str, Any]:
    data = cbor.encode({**cbor.decode(header().to_bytes()), **fields})
    try:
        Header.from_bytes(data)
    except RemoteProtocolError as error:
        said = {name: value for name, value in fields.items() if value != PRODUCTION.get(name)}
        return {"why": said, "header": data, "code": error.code}
    raise AssertionError(f"{fields} is accepted")
