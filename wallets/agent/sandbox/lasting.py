"""A worker that stays for several visits of one wallet to one collective; `Launcher.lasting` makes it."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from wallets.agent.errors import SandboxError
from wallets.agent.sandbox.faults import FAULT_OF_BYTE, fault
from wallets.agent.sandbox.policy import Fault, Limits
from wallets.agent.sandbox.worker import FINE, LENGTH_BYTES

if TYPE_CHECKING:
    from wallets.agent.sandbox.launcher import Launcher, TrainJob

GRACE_SECONDS = 2.0


class LastingWorker:
    """Several visits in one confined process. Any fault ends it; the caller opens another one."""

    def __init__(
        self,
        launcher: Launcher,
        channel: socket.socket,
        ident: int,
        ended: asyncio.Future[dict[str, Any]],
        limits: Limits,
    ) -> None:
        self._launcher, self._channel, self._ident = launcher, channel, ident
        self._ended, self._limits = ended, limits
        self._visits = 0

    async def train(self, job: TrainJob) -> bytes:
        """One visit; exactly 4·d bytes come back, or SandboxError with a fixed code and an ended worker."""
        loop = asyncio.get_running_loop()
        frame, expected = job.frame(), 4 * job.dimension
        try:
            async with asyncio.timeout(self._limits.wall_seconds):
                await loop.sock_sendall(self._channel, len(frame).to_bytes(LENGTH_BYTES, "big") + frame)
                size = int.from_bytes(await self._exactly(LENGTH_BYTES), "big")
                if size > expected + 1:
                    raise fault(Fault.OVERSIZED)
                answer = await self._exactly(size)
        except TimeoutError:
            await self.close()
            raise fault(Fault.TIME) from None
        except (ConnectionError, SandboxError) as error:
            await self.close()
            raise error if isinstance(error, SandboxError) else fault(Fault.CRASHED) from None
        self._visits += 1
        if answer[:1] != bytes([FINE]) or size != expected + 1:
            await self.close()
            raise fault(
                FAULT_OF_BYTE.get(answer[0], Fault.CRASHED) if answer[:1] != bytes([FINE]) else Fault.SHORT
            )
        return answer[1:]

    async def close(self) -> None:
        """End the process and count what it cost."""
        self._channel.close()
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                report = await asyncio.shield(self._ended)
        except (TimeoutError, SandboxError):
            self._launcher.end(self._ident)
            return
        self._launcher.finished(report, self._visits)
        self._visits = 0

    async def _exactly(self, size: int) -> bytes:
        loop, parts = asyncio.get_running_loop(), bytearray()
        while len(parts) < size:
            part = await loop.sock_recv(self._channel, size - len(parts))
            if not part:
                raise fault(Fault.CRASHED)
            parts += part
        return bytes(parts)
