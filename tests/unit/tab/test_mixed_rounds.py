"""Rounds of Python wallets and wallets of the browser together: every sum is the plain sum, bit for bit, whoever falls silent when.

The server is the real one, in this process; the tab's clients run in Node (`tabs`). Wallets with an odd number are tabs.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from aggregation.secagg.client import SecAggClient
from aggregation.secagg.errors import LocalProtocolError
from tests.unit.secagg.pair import Wire, header, job_key, member_log
from tests.unit.tab.tabs import Tab, Tabs, tabs

__all__ = ["tabs"]
N = 8
SEEDS = itertools.count()
PHASES = ("advertise", "share_keys", "masked_input", "consistency", "unmask")


def mixed(
    tabs: Tabs, gone: dict[str, list[int]], *, n: int = N, late: tuple[int, ...] = (), **fields: Any
) -> Wire:
    """A round whose odd wallets are tabs."""
    head = header(**{"log": member_log(n), "bucket_size": n, **fields})
    seed = f"mixed {next(SEEDS)}"
    wire = Wire(head, n, seed=seed, gone=gone, late=late)
    for i in range(1, n, 2):
        wire.clients[i] = tabs.client(head, job_key(i), f"{seed}/{i}")  # type: ignore[call-overload]
    return wire


def check(wire: Wire, *, survivors: set[int]) -> None:
    result = wire.run()
    assert not result.failed, "a bucket ended, so the sum is of fewer wallets"
    inside = sorted(survivors)
    assert wire.updates is not None
    total = sum(bucket.sum for bucket in result.sums.values())
    assert np.array_equal(total, wire.updates[inside].sum(axis=0))
    assert sum(bucket.count for bucket in result.sums.values()) == len(inside)
    assert not any(bucket.bad_shares for bucket in result.sums.values())


def test_tabs_and_agents_come_to_the_plain_sum(tabs: Tabs) -> None:
    wire = mixed(tabs, {})

    check(wire, survivors=set(range(N)))

    assert [type(client) for client in wire.clients[:2]] == [SecAggClient, Tab]
    assert all(client.closed for client in wire.clients)


@pytest.mark.parametrize("phase", PHASES)
def test_an_agent_and_a_tab_fall_silent_in_a_phase(tabs: Tabs, phase: str) -> None:
    gone = {4, 5} if PHASES.index(phase) <= PHASES.index("masked_input") else set()

    check(mixed(tabs, {phase: [4, 5]}), survivors=set(range(N)) - gone)


def test_some_fall_silent_in_every_phase(tabs: Tabs) -> None:
    gone = {phase: [2 * i, 2 * i + 1] for i, phase in enumerate(PHASES)}

    check(mixed(tabs, gone, n=24), survivors=set(range(6, 24)))


def test_late_inputs_of_both_kinds_stay_masked(tabs: Tabs) -> None:
    check(mixed(tabs, {}, late=(2, 3)), survivors=set(range(N)) - {2, 3})


def test_a_circulant_graph_in_the_small_ring_with_a_dropout(tabs: Tabs) -> None:
    wire = mixed(tabs, {"masked_input": [3]}, n=9, graph="circulant", k=6, ring_bits=16, q=10, d=50)

    check(wire, survivors=set(range(9)) - {3})


def test_several_buckets_and_a_vector_of_several_blocks(tabs: Tabs) -> None:
    # One loss only: two in the same bucket of five, which the draw decides, would rightly end that bucket.
    wire = mixed(tabs, {"masked_input": [1]}, n=10, bucket_size=5, d=70_000)

    check(wire, survivors=set(range(10)) - {1})
    assert len(wire.round.buckets) == 2


def test_a_padded_vector_and_the_limits_of_the_quantiser(tabs: Tabs) -> None:
    wire = mixed(tabs, {}, d=5, rotation_seed=bytes(32))
    assert wire.updates is not None
    wire.updates[1], wire.updates[2] = -(1 << 15), (1 << 15) - 1

    check(wire, survivors=set(range(N)))
    assert wire.updates.shape == (N, 8)


def test_a_tab_that_is_opened_again_reveals_nothing_twice(tabs: Tabs) -> None:
    """After a reload the page has only its store; the durable note stops a second answer with other masks in the same round."""
    wire = mixed(tabs, {})
    wire.run()
    again = mixed(tabs, {})
    again.clients[1] = tabs.client(again.head, job_key(1), f"{wire.seed}/1")  # type: ignore[call-overload]

    again.until("close_consistency")
    with pytest.raises(LocalProtocolError) as caught:
        again.clients[1].receive_consistency(again.agreements[again.keys[1]])

    assert caught.value.code == "already_revealed"
    assert again.clients[1].closed
