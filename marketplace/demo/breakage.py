"""What a demo breaks on purpose, and what must have become of it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from collectives.models import Job
from marketplace.demo.hosts import Hosts
from marketplace.demo.result import FaultFacts
from marketplace.supervisor.supervisor import Supervisor


@dataclass(frozen=True, kw_only=True)
class PlannedFault:
    """`each` wallets of every host suffer `kind` in a round, after a step where that matters."""

    round: int
    kind: str
    each: int
    after: str = "joined"


WORDS = {
    "die": "killed, both sockets gone",
    "cut": "socket cut, comes back",
    "lose_data": "data gone before it was proven",
    "fail_algorithm": "algorithm fails after data was proven",
}
_PLAN = (
    ("die", 2, "advertise"),
    ("die", 2, "share_keys"),
    ("die", 2, "masked_input"),
    ("cut", 2, "share_keys"),
    ("lose_data", 1, "joined"),
    ("fail_algorithm", 1, "joined"),
)


def plan(rounds: int, *, gentle: bool) -> list[PlannedFault]:
    """One fault a round from the second on (from the first where there are few); gentle: one wallet each."""
    first = 2 if rounds > len(_PLAN) else 1
    return [
        PlannedFault(round=min(first + i, rounds), kind=kind, each=1 if gentle else each, after=after)
        for i, (kind, each, after) in enumerate(_PLAN)
    ]


def arm(hosts: Hosts, faults: list[PlannedFault]) -> None:
    for fault in faults:
        for host in hosts.all:
            host.call("fault", round=fault.round, kind=fault.kind, after=fault.after, count=fault.each)


def outcome(hosts: Hosts, faults: list[PlannedFault]) -> list[FaultFacts]:
    """Planned against happened, over all hosts."""
    suffered = [host.call("faults")["faults"] for host in hosts.all]
    return [
        FaultFacts(
            round=fault.round,
            kind=WORDS[fault.kind],
            after="" if fault.after == "joined" else fault.after.replace("_", " "),
            planned=fault.each * len(hosts.all),
            happened=sum(len(of_host[index]["suffered"]) for of_host in suffered),
        )
        for index, fault in enumerate(faults)
    ]


class ServerKiller:
    """`kill -9` of the background worker in the first round and of the web server in the second, while wallets compute.

    With roles apart the second one is the aggregator's, which the wallets are speaking to.
    """

    PLAN = ((1, "worker"), (2, "web"))
    APART = ((1, "web-rounds"), (2, "aggregator"))

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        apart = any(part.name == "aggregator" for part in supervisor.parts)
        self._plan = self.APART if apart else self.PLAN
        self._done: list[str] = []

    def look(self, job: Job) -> list[str]:
        """Kill what is due; what was killed so far."""
        for number, name in self._plan:
            line = f"{name} in round {number}"
            if line in self._done or not job.rounds.filter(number=number, status="aggregating").exists():
                continue
            pid = self._supervisor.part(name).pid
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                self._done.append(line)
        return list(self._done)
