"""Faults that a demonstration or a test injects from outside the agents: deaths, cut sockets, lost data, silence, half an upload.

A plan says "in round R, after step S, so many wallets suffer F". The agents' own code knows nothing of it: the host runs
their visits in a subclass of the round session that looks here after every step.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wallets.agent import credentials
from wallets.agent.agent import WalletAgent
from wallets.agent.messages import Visit
from wallets.agent.round_line import Step
from wallets.agent.rounds import Delivery, RoundSession

if TYPE_CHECKING:
    from wallets.host.host import Host


class FaultKind(StrEnum):
    """What happens to a wallet."""

    DIE = "die"  # both sockets dropped, no answer any more in this round
    CUT = "cut"  # the round socket dropped; the agent comes back by itself
    LOSE_DATA = "lose_data"  # its data is gone between accepting and proving presence
    FAIL_ALGORITHM = "fail_algorithm"  # the worker fails after presence was proven
    STALL = "stall"  # says nothing for some seconds, its sockets open, then goes on
    HALF = "half"  # sends half of its masked input and hangs, the connection open


_AFTER_A_STEP = {FaultKind.DIE, FaultKind.CUT, FaultKind.STALL}


@dataclass(kw_only=True)
class Fault:
    """One line of the plan. `wallets` empty means: whoever gets there first, `count` of them. `seconds`: how long a stall lasts."""

    round: int
    kind: FaultKind
    after: Step = Step.JOINED
    count: int = 1
    wallets: frozenset[str] = frozenset()
    seconds: float = 0.0
    suffered: list[str] = field(default_factory=list)

    def strikes(self, wallet: str, number: int, kind: FaultKind, step: Step) -> bool:
        """Whether this wallet suffers it now; each wallet at most once per fault."""
        if (self.round, self.kind) != (number, kind) or wallet in self.suffered:
            return False
        if kind in _AFTER_A_STEP and self.after is not step:
            return False
        if self.wallets and wallet not in self.wallets:
            return False
        if len(self.suffered) >= self.count:
            return False
        self.suffered.append(wallet)
        return True


class FaultPlan:
    """All faults of a host."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Plan one more fault."""
        self.faults.append(fault)

    def strikes(self, wallet: str, number: int, kind: FaultKind, step: Step = Step.JOINED) -> bool:
        """Whether some fault of this kind hits this wallet at this step of this round."""
        return self.striking(wallet, number, kind, step) is not None

    def striking(self, wallet: str, number: int, kind: FaultKind, step: Step) -> Fault | None:
        """The fault that hits it, if one does."""
        return next((fault for fault in self.faults if fault.strikes(wallet, number, kind, step)), None)


class HostedRoundSession(RoundSession):
    """A visit under a host's fault plan."""

    def __init__(self, host: Host, agent: WalletAgent, visit: Visit, delivery: Delivery) -> None:
        super().__init__(agent, visit, delivery)
        self._host = host

    async def run(self) -> None:
        """As the agent runs it, unless the plan takes its data away first."""
        if self._planned(FaultKind.LOSE_DATA):
            await self.agent.store.remove(*credentials.RECORD)
        await super().run()

    async def stepped(self, step: Step) -> None:
        """Count the step, then suffer what is planned for it."""
        await super().stepped(step)
        self._host.reached(self.agent.name, self.visit, step)
        number = self.visit.task.round
        if self._host.faults.strikes(self.agent.name, number, FaultKind.DIE, step):
            self._drop_socket()
            self.agent.session.abort()
            self.agent.event("died", round=number, after=step.value)
            raise asyncio.CancelledError
        if self._host.faults.strikes(self.agent.name, number, FaultKind.CUT, step):
            if self._socket is not None:
                self._socket.abort()
            self.agent.event("cut", round=number, after=step.value)
        stalled = self._host.faults.striking(self.agent.name, number, FaultKind.STALL, step)
        if stalled is not None:
            self.agent.event("stalled", round=number, after=step.value)
            await asyncio.sleep(stalled.seconds)

    async def _on_slot(self, message: dict[str, Any]) -> None:
        if self._input is not None and self._planned(FaultKind.HALF):
            await self._send_half(str(message["path"]), self._input)
        await super()._on_slot(message)

    _HANDLERS = RoundSession._HANDLERS | {"slot": _on_slot}

    async def _send_half(self, path: str, sealed: bytes) -> None:
        """Announce the whole, send half, and wait for an end that does not come from here."""
        place = urlsplit(self.agent.server.aggregator_http)
        _, writer = await asyncio.open_connection(
            place.hostname, place.port, ssl=True if place.scheme == "https" else None
        )
        try:
            head = f"PUT {path} HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Length: {len(sealed)}\r\n\r\n"
            writer.write(head.encode() + sealed[: len(sealed) // 2])
            await writer.drain()
            await asyncio.get_running_loop().create_future()
        finally:
            writer.transport.abort()

    async def _train(self) -> None:
        if not self._planned(FaultKind.FAIL_ALGORITHM):
            await super()._train()
            return
        self._trained = "failed"
        await self._inbox.put({"t": "trained"})

    def _planned(self, kind: FaultKind) -> bool:
        struck = self._host.faults.strikes(self.agent.name, self.visit.task.round, kind)
        if struck:
            self.agent.event("fault", kind=kind.value, round=self.visit.task.round)
        return struck
