"""A scripted wallet: speaks the wire of docs/protocol/interfaces.md with the real secure aggregation client.

It stands in for `wallets.agent` where a test needs to decide what a wallet does and when it dies.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
import uuid
from contextlib import suppress
from hashlib import sha256
from typing import Any

import httpx
import numpy as np
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from aggregation.secagg.client import SecAggClient
from aggregation.secagg.messages import Enrolment, Header, MaskedInput, PresenceReceipt
from aggregation.wire import cbor, sealing, signing


class Died(Exception):
    """The script says: this wallet is gone now."""


class Wallet:
    """One wallet. `script` may name steps to `die_after`, `cut_after` or `hold_before`, or `cannot`, `fails`, `decline`, `uploads`."""

    def __init__(self, world: Any, number: int, **script: Any) -> None:
        self.world = world
        self.number = number
        self.script = script
        self.subscription = signing.generate(os.urandom)
        self.public = signing.public_key(self.subscription)
        self.job_key = signing.generate(os.urandom)
        self.enrolments: dict[str, bytes] = {}
        self.frames: list[dict[str, Any]] = []
        self.outcomes: list[str] = []
        self.errors: list[str] = []
        self.last: Visit | None = None
        self.updates: dict[int, Any] = {}
        self.headers: dict[int, Header] = {}
        self.asked: Visit | None = None
        """The visit whose update is computed."""
        self.revealed: set[tuple[bytes, int]] = set()
        self.invited: dict[bytes, bytes] = {}
        self.visits: list[asyncio.Task[None]] = []
        self.slot = ""
        self.input: bytes | None = None
        self.stored = False
        self.uploaded: list[int] = []
        self.connected = asyncio.Event()
        self.held, self.released = asyncio.Event(), asyncio.Event()
        self.job_public = signing.public_key(self.job_key)
        self.task: asyncio.Task[None] | None = None
        self.socket: ClientConnection | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        for task in [self.task, *self.visits]:
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task

    async def _run(self) -> None:
        while True:
            with suppress(OSError, ConnectionClosed, InvalidHandshake, TimeoutError):
                await self._serve()
            self.connected.clear()
            await asyncio.sleep(0.2)

    async def _serve(self) -> None:
        async with connect(self.world.socket("/ws/wallet/"), compression=None) as socket:
            self.socket = socket
            challenge = cbor.decode(await socket.recv())
            body = {"nonce": challenge["nonce"], "time": challenge["time"], "server": challenge["key"]}
            proof = signing.sign(self.subscription, b"cssi/v1/hello", body)
            keys = [["subscription", self.public, proof]]
            await socket.send(cbor.encode({"t": "hello", "version": 1, "keys": keys}))
            while True:
                message = cbor.decode(await socket.recv())
                self.frames.append(message)
                reply = await self._answer(message)
                if reply is not None:
                    await socket.send(cbor.encode(reply))

    async def _answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        kind = message["t"]
        if kind == "welcome":
            self.connected.set()
        elif kind == "ping":
            return {"t": "pong", "n": message["n"]}
        elif kind == "mail":
            return {"t": "ack", "id": message["id"], "outcome": "done"}
        elif kind == "job":
            return self._enrol(message)
        elif kind == "invite":
            if self.script.get("decline"):
                return {"t": "decline", "id": message["id"], "code": "later"}
            self.invited[message["id"]] = message["task"]
            return {"t": "accept", "id": message["id"]}
        elif kind == "deliver":
            task = self.invited.pop(message["id"], None)
            if task is not None:
                self.visits.append(asyncio.create_task(self._visit(cbor.decode(task), message)))
        elif kind == "error":
            self.errors.append(message["code"])
        return None

    def _enrol(self, message: dict[str, Any]) -> dict[str, Any]:
        if self.script.get("decline_job"):
            return {"t": "decline", "id": message["id"], "code": "no"}
        document = json.loads(message["body"])["document"]
        job = document["job_id"]
        if job not in self.enrolments:
            self.enrolments[job] = Enrolment.sign(
                self.subscription,
                job=uuid.UUID(job).bytes,
                collective=uuid.UUID(document["collective_id"]).bytes,
                manifest_hash=bytes.fromhex(document["manifest_hash"]),
                job_key=signing.public_key(self.job_key),
                expires=document["expires"],
            ).to_bytes()
        return {"t": "enrol", "id": message["id"], "body": self.enrolments[job]}

    async def _visit(self, task: dict[str, Any], delivery: dict[str, Any]) -> None:
        visit = self.last = Visit(self, task, delivery)
        try:
            await visit.run()
        except Died:
            self.outcomes.append("died")


class Visit:
    """One visit, with reconnects; repeats what was not acknowledged, answers a repeated message as before."""

    def __init__(self, wallet: Wallet, task: dict[str, Any], delivery: dict[str, Any]) -> None:
        self.wallet = wallet
        self.world = wallet.world
        self.task = task
        self.header = Header.from_bytes(task["header"])
        self.delivery = delivery
        self.client: SecAggClient | None = None
        self.pending: dict[str, Any] | None = None
        self.answers: dict[bytes, Any] = {}
        self.expecting = iter(["share_keys", "bundle", "consistency", "unmask"])
        self.receipted = False
        self.advertised = False
        self.cuts = {wallet.script["cut_after"]} if "cut_after" in wallet.script else set()
        self.input: bytes | None = None

    async def run(self) -> None:
        url = self.world.url(f"{self.delivery['payload_url']}?token={self.delivery['payload_token']}")
        answer = await self.world.client.get(url)
        assert answer.status_code == 200, answer.status_code
        self.payload = cbor.decode(answer.content)
        assert "weights" in self.payload
        while True:
            try:
                if await self._take_part():
                    return
            except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError):
                await asyncio.sleep(0.1)

    async def _take_part(self) -> bool:
        async with connect(self.world.socket("/ws/round/"), compression=None, max_size=2**20) as socket:
            self.socket = socket
            challenge = cbor.decode(await socket.recv())
            private = self.wallet.job_key
            body = {
                "nonce": challenge["nonce"],
                "time": challenge["time"],
                "server": challenge["key"],
                "job": self.task["job"],
                "round": self.task["round"],
            }
            join = {"t": "join", "job": self.task["job"], "round": self.task["round"]}
            signature = signing.sign(private, b"cssi/v1/join", body)
            await self._send({**join, "job_key": signing.public_key(private), "sig": signature})
            joined = cbor.decode(await socket.recv())
            if joined["t"] != "joined":
                self.wallet.outcomes.append(joined["code"])
                return True
            if self.wallet.script.get("cannot") and not self.receipted:
                await self._send({"t": "cannot", "code": "requirements"})
            elif self.pending is not None:
                await self._send(self.pending)
            elif not self.receipted:
                await self._leave({"t": "receipt", "m": self._receipt()}, "receipt")
            while True:
                if await self._on(cbor.decode(await socket.recv())):
                    return True

    async def _send(self, message: dict[str, Any]) -> None:
        sealed = sealing.seal(self.world.seal_key, b"cssi/v1/round-socket", cbor.encode(message), os.urandom)
        await self.socket.send(cbor.encode({"t": "sealed", "b": sealed}))

    async def _hold(self, step: str) -> None:
        if self.wallet.script.get("hold_before") == step:
            self.wallet.held.set()
            await self.wallet.released.wait()

    async def _leave(self, message: dict[str, Any], step: str) -> None:
        self.pending = message
        await self._hold(step)
        await self._send(message)
        await self._stepped(step)

    async def _stepped(self, step: str) -> None:
        if self.wallet.script.get("die_after") == step:
            self.socket.transport.abort()
            raise Died
        if step in self.cuts:
            self.cuts.discard(step)
            self.socket.transport.abort()
            raise ConnectionClosed(None, None)

    async def _on(self, message: dict[str, Any]) -> bool:
        kind = message["t"]
        if kind == "ack":
            await self._on_ack()
        elif kind == "secagg":
            await self._on_secagg(message["m"])
        elif kind == "slot":
            await self._on_slot(message["path"])
        elif kind == "done":
            self.wallet.outcomes.append(message["outcome"])
            return True
        elif kind == "error":
            self.wallet.outcomes.append(message["code"])
            return True
        return False

    async def _on_ack(self) -> None:
        acknowledged, self.pending = self.pending, None
        if acknowledged is None or acknowledged["t"] != "receipt":
            return
        self.receipted = True
        if self.wallet.script.get("fails"):
            await self._send({"t": "cannot", "code": "failed"})
            return
        self.client = SecAggClient(
            self.header, self.wallet.job_key, rng=os.urandom, note_revealed=self._note_revealed
        )
        await self._leave({"t": "secagg", "m": self.client.advertise()}, "advertise")

    async def _on_secagg(self, data: bytes) -> None:
        assert self.client is not None
        known = self.answers.get(sha256(data).digest())
        if known is not None:
            if known != "bundle":
                await self._send(known)
            return
        step = next(self.expecting)
        if step == "share_keys":
            answer = self.client.receive_list(data, now=int(time.time()))
        elif step == "bundle":
            self.client.receive_shares(data)
            self.wallet.asked = self
            self.wallet.headers[self.header.round] = self.header
            update = self.world.update(self.wallet, self.task["round"])
            self.wallet.updates[self.task["round"]] = update
            self.input = self.wallet.input = self.client.mask(update)
            self.answers[sha256(data).digest()] = "bundle"
            return
        elif step == "consistency":
            answer = self.client.receive_survivors(data)
        else:
            answer = self.client.receive_consistency(data)
        message = {"t": "secagg", "m": answer}
        self.answers[sha256(data).digest()] = message
        await self._leave(message, step)

    async def _on_slot(self, path: str) -> None:
        assert self.input is not None
        self.wallet.slot = path
        await self._hold("masked_input")
        if self.wallet.script.get("die_after") == "bundle":
            self.socket.transport.abort()
            raise Died
        while True:
            sealed = sealing.seal(self.world.seal_key, b"cssi/v1/slot", self.input, os.urandom)
            try:
                answer = await self.world.client.put(self.world.url(path), content=sealed)
                if answer.status_code in {408, 429} or answer.status_code >= 500:  # as the agent does
                    await asyncio.sleep(0.1)
                    continue
                assert answer.status_code in {200, 201}, answer.text
                self.wallet.stored = True
                break
            except httpx.HTTPError:
                await asyncio.sleep(0.1)
        await self._upload_again(path)
        await self._stepped("masked_input")

    async def _upload_again(self, path: str) -> None:
        """With a script: the same input again in a fresh seal, or another one, properly signed."""
        script = self.wallet.script.get("uploads")
        if script is None:
            return
        assert self.input is not None
        again = self.input if script == "twice" else self._other_input()
        sealed = sealing.seal(self.world.seal_key, b"cssi/v1/slot", again, os.urandom)
        answer = await self.world.client.put(self.world.url(path), content=sealed)
        self.wallet.uploaded = [201, answer.status_code]

    def _other_input(self) -> bytes:
        assert self.input is not None
        sent = MaskedInput.from_bytes(self.input)
        y = bytes([sent.y[0] ^ 1]) + sent.y[1:]
        other = MaskedInput.sign(self.wallet.job_key, header=sent.header, sender=sent.sender, y=y)
        return other.to_bytes()

    def _note_revealed(self, job: bytes, number: int) -> bool:
        fresh = (job, number) not in self.wallet.revealed
        self.wallet.revealed.add((job, number))
        return fresh

    def _receipt(self) -> bytes:
        return PresenceReceipt.sign(
            self.wallet.subscription,
            job=self.task["job"],
            round=self.task["round"],
            collective=self.task["collective"],
            requirement_hash=self.task["requirement"],
            data_commitment=bytes(32),
            header_hash=self.header.hash(),
            job_key=signing.public_key(self.wallet.job_key),
            ticket=self.delivery["ticket"],
        ).to_bytes()


def random_update(header_q: int, d: int, seed: int) -> Any:
    low = -(1 << (header_q - 1))
    words = np.frombuffer(sha256(str(seed).encode()).digest() * (d // 8 + 1), dtype="<u4")[:d]
    return (words.astype(np.int64) % (1 << header_q)) + low
