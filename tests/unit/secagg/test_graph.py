"""Oracle 9: the graph is symmetric, regular, the same for all, and the draw is uniform over wallets."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregation.secagg.graph import Graph
from aggregation.secagg.messages import Member, assignment
from tests.unit.secagg.pair import Entropy, header, member_log


@given(st.integers(2, 60), st.integers(1, 20), st.booleans())
def test_the_graph_is_symmetric_and_regular(members: int, half: int, complete: bool) -> None:
    kind = {"graph": "complete"} if complete else {"graph": "circulant", "k": 2 * half}
    graph = Graph(header(bucket_size=64, **kind), members)
    for p in range(members):
        peers = graph.neighbours(p)
        assert list(peers) == sorted(set(peers) - {p})
        assert len(peers) == graph.degree
        assert all(p in graph.neighbours(peer) for peer in peers)
        assert sorted(graph.x_of(p, peer) for peer in peers) == list(range(1, graph.degree + 1))
    assert graph.complete == (graph.degree == members - 1)
    assert members < 3 or 2 * graph.threshold > graph.degree


def draw(n: int, seed: object, **fields: int) -> tuple[tuple[Member, ...], ...]:
    members = [
        Member(job_key=i.to_bytes(32, "big"), public_key=Entropy((seed, i))(32), index=i, expires=1)
        for i in range(n)
    ]
    return assignment(header(log=member_log(8), **fields), Entropy(seed)(32), members)


@pytest.mark.parametrize(
    ("n", "size", "least", "sizes"),
    [
        (130, 50, 20, [43, 43, 44]),
        (100, 50, 45, [50, 50]),
        (99, 50, 45, [99]),
        (51, 50, 40, [51]),
        (1000, 50, 45, [50] * 20),
        (7, 10, 2, [7]),
    ],
)
def test_buckets_are_even_and_never_start_too_small(n: int, size: int, least: int, sizes: list[int]) -> None:
    drawn = draw(n, 0, bucket_size=size, bucket_min=least, release_min=least)
    assert sorted(len(bucket) for bucket in drawn) == sizes
    assert {m.index for bucket in drawn for m in bucket} == set(range(n))
    assert max(sizes) <= header(bucket_size=size, bucket_min=least, release_min=least).largest_bucket


@given(st.integers(1, 3000), st.integers(2, 120), st.integers(2, 120))
def test_no_bucket_exceeds_what_the_header_promises(n: int, size: int, least: int) -> None:
    least = min(least, size)
    head = header(bucket_size=size, bucket_min=least, release_min=least)
    count = head.bucket_count(n)
    assert -(-n // count) <= head.largest_bucket
    assert count == 1 or n // count >= least


def test_the_draw_depends_on_randomness_and_on_every_key() -> None:
    assert draw(20, "a") == draw(20, "a")
    assert draw(20, "a") != draw(20, "b")


def test_neighbours_are_uniform_over_seeds() -> None:
    """Wallet 0 meets each of 11 others equally often in buckets of 4: 3/11 of 1,100 draws, within five deviations."""
    met: Counter[int] = Counter()
    for seed in range(1100):
        for bucket in draw(12, seed, bucket_size=4):
            indexes = {m.index for m in bucket}
            if 0 in indexes:
                met.update(indexes - {0})
    expected = 1100 * 3 / 11
    deviation = (expected * 8 / 11) ** 0.5
    assert set(met) == set(range(1, 12))
    assert all(abs(count - expected) < 5 * deviation for count in met.values())


def test_the_core_drops_who_could_not_be_unmasked_until_nobody_is_left_to_drop() -> None:
    graph = Graph(header(bucket_size=12, graph="circulant", k=4), 12)
    assert graph.threshold == 3
    assert graph.core(range(12)) == tuple(range(12))
    assert graph.core(set(range(12)) - {0, 1}) == ()
    assert graph.core(set(range(12)) - {0}) == tuple(range(1, 12))
