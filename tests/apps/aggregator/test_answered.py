"""Whether the database is asked if a phase is over: only when nobody with a socket here is missing."""

from __future__ import annotations

from aggregation.server.services.answered import KEPT, Answered
from aggregation.server.states import Step


def test_nobody_is_asked_while_a_wallet_here_is_missing() -> None:
    seated = {7: {1, 2, 3}}
    known = Answered(lambda round_id: seated.get(round_id, set()))
    assert not known.all_here(7, Step.ADVERTISE)
    for wallet in (1, 2):
        known.answered(7, Step.ADVERTISE, wallet)
    assert not known.all_here(7, Step.ADVERTISE)
    known.answered(7, Step.ADVERTISE, 3)
    assert known.all_here(7, Step.ADVERTISE)
    known.answered(7, Step.SHARE_KEYS, 3)
    assert not known.all_here(7, Step.SHARE_KEYS)


def test_who_is_out_or_has_left_is_not_missing() -> None:
    seated = {7: {1, 2, 3}}
    known = Answered(lambda round_id: seated.get(round_id, set()))
    known.out(7, 1)
    known.answered(7, Step.UNMASK, 2)
    assert not known.all_here(7, Step.UNMASK)
    seated[7].discard(3)
    assert known.all_here(7, Step.UNMASK)
    assert known.all_here(8, Step.UNMASK)


def test_what_is_known_of_old_rounds_is_forgotten() -> None:
    known = Answered(lambda round_id: {1})
    for round_id in range(KEPT + 5):
        known.out(round_id, 1)
        known.answered(round_id, Step.ADVERTISE, 1)
    assert len(known._steps) == len(known._out) == KEPT
    assert known.all_here(KEPT + 4, Step.ADVERTISE)
    assert not known.all_here(0, Step.ADVERTISE)
    known.forget(KEPT + 4)
    assert not known.all_here(KEPT + 4, Step.ADVERTISE)
