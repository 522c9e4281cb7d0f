"""Idle agents, thousands in one process: each with a socket and a subscription key of its own, answering heartbeats and questions.

    python -m tests.benchmarks.load.agents '{"url": "ws://127.0.0.1:8000/ws/wallet/", "agents": 10000}'

Driven by lines on standard input, one JSON line as the answer to each: `connect N` (up to N agents), `leave N` (down to N),
`invited` (when each invitation since the last asking came, CLOCK_MONOTONIC; and how many connections were lost so far), `enrolled` (how
many enrolled so far).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import cbor2
import uvloop

from aggregation.secagg.messages import Enrolment
from aggregation.wire import cbor, signing
from tests.benchmarks.load.sockets import Socket

CONNECTING_AT_ONCE = 100
CONNECT_SECONDS = 60
ATTEMPTS = 3


_NOBODY = bytes(range(16))
_DECLINE = cbor.encode({"t": "decline", "id": _NOBODY, "code": "later"}).split(_NOBODY)
"""Around the id of what is declined."""


class Agent:
    """One wallet's standing connection. It enrols when asked and declines invitations, so that no round begins."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._key = signing.generate(os.urandom)
        self.public = signing.public_key(self._key)
        self._socket: Socket | None = None
        self._welcome: asyncio.Future[None] | None = None
        self._ended: asyncio.Future[None] | None = None
        self._leaving = False

    async def connect(self) -> None:
        """Raises:
        OSError, TimeoutError: no welcome.
        """
        loop = asyncio.get_running_loop()
        self._leaving, self._welcome, self._ended = False, loop.create_future(), loop.create_future()
        socket = self._socket = Socket(self._crowd.host, self._crowd.path, self._hear, self._end)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await loop.create_connection(lambda: socket, *self._crowd.address)
                await self._welcome
        except TimeoutError:
            await self.leave()
            raise

    async def leave(self) -> None:
        assert self._socket is not None and self._ended is not None
        self._leaving = True
        if self._socket.close():
            await self._ended

    def _end(self) -> None:
        assert self._welcome is not None and self._ended is not None
        if not self._welcome.done():
            self._welcome.set_exception(ConnectionResetError("refused before a welcome"))
        elif not self._leaving:
            self._crowd.lost += 1
        self._ended.set_result(None)

    def _hear(self, frame: bytes) -> None:
        message = cbor2.loads(frame)  # unchecked: what a wallet's own checks cost is measured elsewhere
        if (answer := self._ANSWERS.get(message["t"])) is not None:
            answer(self, message)

    def _on_challenge(self, message: dict[str, Any]) -> None:
        body = {"nonce": message["nonce"], "time": message["time"], "server": message["key"]}
        proof = signing.sign(self._key, b"cssi/v1/hello", body)
        self._say({"t": "hello", "version": 1, "keys": [["subscription", self.public, proof]]})

    def _on_welcome(self, _: dict[str, Any]) -> None:
        assert self._welcome is not None
        self._welcome.set_result(None)

    def _on_ping(self, message: dict[str, Any]) -> None:
        self._say({"t": "pong", "n": message["n"]})

    def _on_invite(self, message: dict[str, Any]) -> None:
        self._crowd.invited.append(time.monotonic())
        assert self._socket is not None
        self._socket.send(message["id"].join(_DECLINE))

    def _on_job(self, message: dict[str, Any]) -> None:
        self._say({"t": "enrol", "id": message["id"], "body": self._enrolment(message["body"])})
        self._crowd.enrolled += 1

    _ANSWERS: dict[str, Callable[[Agent, dict[str, Any]], None]] = {
        "challenge": _on_challenge,
        "welcome": _on_welcome,
        "ping": _on_ping,
        "invite": _on_invite,
        "job": _on_job,
    }

    def _enrolment(self, body: bytes) -> bytes:
        document = json.loads(body)["document"]
        return Enrolment.sign(
            self._key,
            job=uuid.UUID(document["job_id"]).bytes,
            collective=uuid.UUID(document["collective_id"]).bytes,
            manifest_hash=bytes.fromhex(document["manifest_hash"]),
            job_key=signing.public_key(signing.generate(os.urandom)),
            expires=document["expires"],
        ).to_bytes()

    def _say(self, message: dict[str, Any]) -> None:
        assert self._socket is not None
        self._socket.send(cbor.encode(message))


class Crowd:
    """All agents of this process."""

    def __init__(self, url: str, agents: int) -> None:
        parts = urlsplit(url)
        self.host, self.path = parts.netloc, parts.path
        self.address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.agents = [Agent(self) for _ in range(agents)]
        self.connected = 0
        self.repeated = 0
        self.lost = 0
        """Connections that the server ended, or that broke."""
        self.invited: list[float] = []
        self.enrolled = 0

    async def do(self, word: str, number: int) -> dict[str, Any]:
        if word == "connect":
            return await self._connect(number)
        if word == "leave":
            gone, self.connected = self.agents[number : self.connected], number
            await self._some_at_once([agent.leave for agent in gone])
            return {"connected": self.connected}
        if word == "invited":
            seen, self.invited = self.invited, []
            return {"invited": seen, "lost": self.lost}
        return {"enrolled": self.enrolled}

    async def _connect(self, number: int) -> dict[str, Any]:
        began, cpu = time.monotonic(), time.process_time()
        fresh = self.agents[self.connected : number]
        failed = await self._some_at_once([agent.connect for agent in fresh])
        self.connected = number
        return {
            "seconds": time.monotonic() - began,
            "cpu": time.process_time() - cpu,
            "fresh": len(fresh),
            "failed": failed,
            "repeated": self.repeated,
        }

    async def _some_at_once(self, work: list[Callable[[], Awaitable[None]]]) -> int:
        gate = asyncio.Semaphore(CONNECTING_AT_ONCE)

        async def one(what: Callable[[], Awaitable[None]]) -> None:
            """A machine that does other things as well may let a challenge expire: agents come again, and it is counted."""
            async with gate:
                for _ in range(ATTEMPTS - 1):
                    try:
                        return await what()
                    except (OSError, TimeoutError):
                        self.repeated += 1
                return await what()

        results = await asyncio.gather(*(one(what) for what in work), return_exceptions=True)
        return sum(isinstance(result, BaseException) for result in results)


async def main(order: dict[str, Any]) -> None:
    crowd = Crowd(order["url"], order["agents"])
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    print(json.dumps({"keys": [agent.public.hex() for agent in crowd.agents]}), flush=True)
    while line := await reader.readline():
        word, _, number = line.decode().strip().partition(" ")
        print(json.dumps(await crowd.do(word, int(number or 0))), flush=True)


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
