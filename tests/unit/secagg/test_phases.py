"""The transition tables: one path for a wallet, no way out of an end, and machines that only follow their table."""

from __future__ import annotations

from enum import Enum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregation.secagg.errors import Fault, LocalProtocolError, ProtocolError, RemoteProtocolError
from aggregation.secagg.phases import (
    BUCKET,
    ROUND,
    WALLET,
    BucketEvent,
    BucketPhase,
    Machine,
    RoundEvent,
    RoundPhase,
    WalletEvent,
    WalletPhase,
)

TABLES = [
    (WALLET, WalletPhase, WalletEvent, WalletPhase.START, {WalletPhase.CLOSED}),
    (BUCKET, BucketPhase, BucketEvent, BucketPhase.SHARE_KEYS, {BucketPhase.DONE, BucketPhase.ABORTED}),
    (ROUND, RoundPhase, RoundEvent, RoundPhase.ADVERTISE, {RoundPhase.RELEASED, RoundPhase.ABORTED}),
]


@pytest.mark.parametrize(("table", "phases", "events", "start", "ends"), TABLES)
def test_every_phase_is_reached_every_event_used_and_ends_are_final(
    table: dict[tuple[Enum, Enum], Enum], phases: type[Enum], events: type[Enum], start: Enum, ends: set[Enum]
) -> None:
    assert {start, *table.values()} == set(phases)
    assert {event for _, event in table} == set(events)
    for (phase, _), following in table.items():
        assert phase not in ends or following is phase
    for phase in phases:
        reachable, frontier = {phase}, [phase]
        while frontier:
            here = frontier.pop()
            for (source, _), following in table.items():
                if source is here and following not in reachable:
                    reachable.add(following)
                    frontier.append(following)
        assert reachable & ends, "every phase can still end"


def test_a_wallet_has_one_edge_to_mask_and_one_to_reveal() -> None:
    for event in (WalletEvent.MASK, WalletEvent.AGREEMENTS):
        assert sum(e is event for _, e in WALLET) == 1


@pytest.mark.parametrize(("table", "phases", "events", "start", "ends"), TABLES)
@given(data=st.data())
def test_a_machine_follows_its_table_and_nothing_else(
    table: dict[tuple[Enum, Enum], Enum],
    phases: type[Enum],
    events: type[Enum],
    start: Enum,
    ends: set[Enum],
    data: st.DataObject,
) -> None:
    machine: Machine[Enum, Enum] = Machine(table, start)
    for event in data.draw(st.lists(st.sampled_from(list(events)), max_size=25)):
        before = machine.phase
        method = data.draw(st.sampled_from([machine.advance, machine.receive, machine.expect, machine.check]))
        expected = RemoteProtocolError if method in (machine.receive, machine.expect) else LocalProtocolError
        moves = method in (machine.advance, machine.receive)
        try:
            method(event)
        except ProtocolError as error:
            assert type(error) is expected
            assert error.reason is Fault.OUT_OF_ORDER
            assert (before, event) not in table
            assert machine.phase is before
        else:
            assert machine.phase is (table[before, event] if moves else before)
