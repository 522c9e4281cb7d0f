"""The life of a round at the aggregator, as data.

A collecting step (`advertise`, `share_keys`, …) takes messages until everyone answered, is gone, or its time is up. The step
after it is closed to messages: it computes from what was stored and moves on, so a message is either acknowledged and counted, or
refused. Waiting for the distributor's signature is a step of its own. `abandoned` can follow any step before `released`.
"""

from __future__ import annotations

from enum import StrEnum


class Step(StrEnum):
    OPENED = "opened"
    ADVERTISE = "advertise"
    ASSIGNING = "assigning"
    SIGNING_LISTS = "signing_lists"
    SHARE_KEYS = "share_keys"
    BUNDLING = "bundling"
    MASKED_INPUT = "masked_input"
    SUMMING = "summing"
    SIGNING_SURVIVORS = "signing_survivors"
    CONSISTENCY = "consistency"
    CONFIRMING = "confirming"
    UNMASK = "unmask"
    UNMASKING = "unmasking"
    RELEASED = "released"
    POSTED = "posted"
    ABANDONED = "abandoned"


NEXT: dict[Step, Step] = {
    Step.OPENED: Step.ADVERTISE,
    Step.ADVERTISE: Step.ASSIGNING,
    Step.ASSIGNING: Step.SIGNING_LISTS,
    Step.SIGNING_LISTS: Step.SHARE_KEYS,
    Step.SHARE_KEYS: Step.BUNDLING,
    Step.BUNDLING: Step.MASKED_INPUT,
    Step.MASKED_INPUT: Step.SUMMING,
    Step.SUMMING: Step.SIGNING_SURVIVORS,
    Step.SIGNING_SURVIVORS: Step.CONSISTENCY,
    Step.CONSISTENCY: Step.CONFIRMING,
    Step.CONFIRMING: Step.UNMASK,
    Step.UNMASK: Step.UNMASKING,
    Step.UNMASKING: Step.RELEASED,
    Step.RELEASED: Step.POSTED,
}
"""The one way forward. Besides it: any step before `released` → `abandoned`."""

COLLECTING = (Step.ADVERTISE, Step.SHARE_KEYS, Step.MASKED_INPUT, Step.CONSISTENCY, Step.UNMASK)
"""Steps in which wallets answer. Their names are those of the header's `phase_seconds`."""
SIGNING = (Step.SIGNING_LISTS, Step.SIGNING_SURVIVORS)
OVER = (Step.RELEASED, Step.POSTED, Step.ABANDONED)
"""No wallet has anything more to do, and the round's part of the ledger is complete."""
RUNNING = tuple(step for step in Step if step not in OVER)
"""All others. Asked for by name, so that the index of steps finds their rounds among all there ever were."""
ORDER = {step: place for place, step in enumerate(Step)}

PUBLIC_STATE: dict[Step, str] = {
    Step.OPENED: "selecting",
    Step.ADVERTISE: "selecting",
    Step.ASSIGNING: "configuring",
    Step.SIGNING_LISTS: "configuring",
    Step.SHARE_KEYS: "configuring",
    Step.BUNDLING: "configuring",
    Step.MASKED_INPUT: "reporting",
    Step.SUMMING: "reporting",
    Step.SIGNING_SURVIVORS: "reporting",
    Step.CONSISTENCY: "unmasking",
    Step.CONFIRMING: "unmasking",
    Step.UNMASK: "unmasking",
    Step.UNMASKING: "unmasking",
    Step.RELEASED: "released",
    Step.POSTED: "posted",
    Step.ABANDONED: "abandoned",
}
"""The coarser word other services and pages use."""


def may_move(here: Step, there: Step) -> bool:
    if there is Step.ABANDONED:
        return here not in OVER
    return NEXT.get(here) is there


def phase_of(step: Step) -> str:
    """The phase a wallet would say it is in."""
    last = "advertise"
    for candidate in Step:
        if candidate in COLLECTING:
            last = candidate.value
        if candidate is step:
            return last
    return last
