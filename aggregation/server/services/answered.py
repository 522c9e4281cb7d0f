"""Who answered in a round's running step, as far as this process stored it: so that the database is not asked after every batch whether a
phase is over.

A phase waits for everyone who has a socket. So while a wallet with a socket here has not answered here, there is nothing to ask. When
nobody is missing here, the database says whether others are; it also decides about time that is up, which the sweep looks at.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection

from aggregation.server.states import Step

KEPT = 64
"""Rounds remembered; of others the database is asked as if nothing were known."""


class Answered:
    """Used on the hub's thread, but for `out`, which only adds a number to a set."""

    def __init__(self, seated: Callable[[int], Collection[int]]) -> None:
        """`seated`: the participants of a round that have a socket here."""
        self._seated = seated
        self._steps: OrderedDict[int, tuple[Step, set[int]]] = OrderedDict()
        self._out: dict[int, set[int]] = {}

    def answered(self, round_id: int, step: Step, participant: int) -> None:
        known = self._steps.get(round_id)
        if known is None or known[0] is not step:
            self._steps[round_id] = known = (step, set())
            self._steps.move_to_end(round_id)
            while len(self._steps) > KEPT:
                self._out.pop(self._steps.popitem(last=False)[0], None)
        known[1].add(participant)

    def out(self, round_id: int, participant: int) -> None:
        """It is waited for no longer, whatever the step."""
        self._out.setdefault(round_id, set()).add(participant)

    def forget(self, round_id: int) -> None:
        """Nobody of this round has a socket here any more."""
        self._steps.pop(round_id, None)
        self._out.pop(round_id, None)

    def all_here(self, round_id: int, step: Step) -> bool:
        """Whether everyone with a socket here has answered in this step, or is out."""
        known = self._steps.get(round_id)
        answered = known[1] if known is not None and known[0] is step else set()
        return set(self._seated(round_id)) <= answered | self._out.get(round_id, set())
