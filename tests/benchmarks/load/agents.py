"""Idle agents, thousands in one process: each with a socket and a subscription key of its own, answering heartbeats and questions.

    python -m tests.benchmarks.load.agents '{"url": "ws://127.0.0.1:8000/ws/wallet/", "agents": 10000}'

Driven by lines on standard input, one JSON line as the answer to each: `connect N` (up to N agents), `leave N` (down to N),
`invited` (when each invitation since the last asking came, CLOCK_MONOTONIC), `enrolled` (how many enrolled so far).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import uuid
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from aggregation.secagg.messages import Enrolment
from aggregation.wire import cbor, signing

CONNECTING_AT_ONCE = 100
ATTEMPTS = 10


class Agent:
    """One wallet's standing connection. It enrols when asked and declines invitations, so that no round begins."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._key = signing.generate(os.urandom)
        self.public = signing.public_key(self._key)
        self._socket: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        self._socket = await connect(self._crowd.url, compression=None, ping_interval=None, open_timeout=60)
        challenge = cbor.decode(await self._socket.recv())
        body = {"nonce": challenge["nonce"], "time": challenge["time"], "server": challenge["key"]}
        proof = signing.sign(self._key, b"cssi/v1/hello", body)
        await self._say({"t": "hello", "version": 1, "keys": [["subscription", self.public, proof]]})
        assert cbor.decode(await self._socket.recv())["t"] == "welcome"
        self._task = asyncio.create_task(self._serve())

    async def leave(self) -> None:
        assert self._task is not None and self._socket is not None
        self._task.cancel()
        await self._socket.close()

    async def _serve(self) -> None:
        assert self._socket is not None
        async for frame in self._socket:
            message = cbor.decode(frame)
            if message["t"] == "ping":
                await self._say({"t": "pong", "n": message["n"]})
            elif message["t"] == "invite":
                self._crowd.invited.append(time.monotonic())
                await self._say({"t": "decline", "id": message["id"], "code": "later"})
            elif message["t"] == "job":
                await self._say({"t": "enrol", "id": message["id"], "body": self._enrolment(message["body"])})
                self._crowd.enrolled += 1

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

    async def _say(self, message: dict[str, Any]) -> None:
        assert self._socket is not None
        await self._socket.send(cbor.encode(message))


class Crowd:
    """All agents of this process."""

    def __init__(self, url: str, agents: int) -> None:
        self.url = url
        self.agents = [Agent(self) for _ in range(agents)]
        self.connected = 0
        self.repeated = 0
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
            return {"invited": seen}
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

    async def _some_at_once(self, work: list[Any]) -> int:
        gate = asyncio.Semaphore(CONNECTING_AT_ONCE)

        async def one(what: Any) -> None:
            """A machine that does other things as well may let a challenge expire: agents come again, and it is counted."""
            async with gate:
                for _ in range(ATTEMPTS - 1):
                    try:
                        return await what()
                    except (OSError, TimeoutError, WebSocketException, AssertionError):
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
    asyncio.run(main(json.loads(sys.argv[1])))
