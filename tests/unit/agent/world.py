"""A scripted server side for tests: one collective, one distributor, one aggregator, over real sockets on loopback.

It speaks docs/protocol/interfaces.md sections 3 to 5 towards wallets and drives rounds with the real server core of
`aggregation.secagg`. It keeps no database and shows no mercy: everything a wallet sent is kept in lists for assertions.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from aggregation.secagg import server as core
from aggregation.secagg.messages import Appeal, Enrolment, Header, PayoutOpening
from aggregation.wire import cbor, sealing, signing
from aggregation.wire.secret import Secret
from tests.unit.agent import documents

Scope = dict[str, Any]


@dataclass(kw_only=True)
class WalletLine:
    """One open wallet socket."""

    send: Callable[[dict[str, Any]], Awaitable[None]]
    keys: set[bytes] = field(default_factory=set)
    unsealer: sealing.Unsealer | None = None


@dataclass(kw_only=True)
class Member:
    """One wallet inside a running round, by job key."""

    send: Callable[[dict[str, Any]], Awaitable[None]] | None = None
    got: dict[str, bytes] = field(default_factory=dict)
    sent: list[dict[str, Any]] = field(default_factory=list)
    cannot: str = ""


class World:
    """The server side. `async with World() as world` serves on a free port."""

    def __init__(self, **terms: Any) -> None:
        self.collective = documents.Collective(**terms)
        self.distributor_key = signing.generate(secrets.token_bytes)
        self.aggregator_key = signing.generate(secrets.token_bytes)
        self.seal_key = sealing.generate(secrets.token_bytes)
        self.lines: list[WalletLine] = []
        self.subscribers: dict[bytes, dict[str, Any]] = {}
        self.posted: dict[str, list[Any]] = defaultdict(list)
        self.frames: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self.openings: list[PayoutOpening] = []
        self.places: dict[bytes, dict[str, Any]] = {}
        self.appeals: list[Appeal] = []
        self.slots: dict[str, bytes] = {}
        self.members: dict[bytes, Member] = {}
        self.round_header: Header | None = None
        self.payload = b""
        self.refuse_with: int | None = None
        self._arrived = asyncio.Condition()

    async def __aenter__(self) -> World:
        await self.serve()
        return self

    async def serve(self, port: int = 0) -> None:
        """Up from here on; `port`: at the same address as before a stop."""
        self.lines = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        config = uvicorn.Config(
            self._app,
            interface="asgi3",
            log_level="error",
            log_config=None,
            ws="websockets-sansio",
            lifespan="off",
            access_log=False,
        )
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        self._task = asyncio.create_task(self._server.serve(sockets=[self._listener]))
        while not self._server.started:
            await asyncio.sleep(0.01)

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """All servers are down from here on."""
        self._server.should_exit = True
        self._server.force_exit = True
        await self._task
        self._listener.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def description(self) -> dict[str, Any]:
        """`GET /api/v1/server`."""
        return {
            "distributor_key": signing.public_key(self.distributor_key).hex(),
            "distributor_socket": f"ws://127.0.0.1:{self.port}/ws/wallet/",
            "aggregator_key": signing.public_key(self.aggregator_key).hex(),
            "aggregator_seal_key": sealing.public_key(self.seal_key).hex(),
            "aggregator_socket": f"ws://127.0.0.1:{self.port}/ws/round/",
            "api": f"{self.url}/api/v1",
            "chain_id": self.collective.chain_id,
            "registry": self.collective.registry,
            "version": 1,
        }

    async def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait until something arrived that makes the condition true."""
        async with asyncio.timeout(seconds), self._arrived:
            await self._arrived.wait_for(condition)

    # towards wallets

    async def mail(self, to: bytes, kind: str, document: Any) -> bytes:
        """Send a mail to whoever bound that key; its id."""
        ident = secrets.token_bytes(16)
        body = json.dumps(document).encode()
        await self._to(to, {"t": "mail", "id": ident, "to": to, "kind": kind, "body": body, "expires": 2**40})
        return ident

    def standing(self, key: bytes, state: str, reason: str, **changes: Any) -> dict[str, Any]:
        """A letter of the aggregator about the wallet behind a subscription key."""
        body = {
            "version": 1,
            "collective_id": self.collective.id,
            "subscription_key": key.hex(),
            "state": state,
            "revision": 1,
            "reason": reason,
            "created": documents.now(),
        } | changes
        signature = signing.sign(self.aggregator_key, b"cssi/v1/standing", body)
        return {**body, "signature": signature.hex()}

    async def enrol_all(self, envelope: Mapping[str, Any]) -> list[Enrolment]:
        """Announce a job to all subscribers and wait for their enrolments (or declines)."""
        before = len([f for f in self.frames if f["t"] in {"enrol", "decline"}])
        for key in self.subscribers:
            ident = secrets.token_bytes(16)
            body = json.dumps(envelope).encode()
            await self._to(key, {"t": "job", "id": ident, "to": key, "body": body})
        wanted = before + len(self.subscribers)
        await self.until(lambda: len([f for f in self.frames if f["t"] in {"enrol", "decline"}]) >= wanted)
        return [Enrolment.from_bytes(f["body"]) for f in self.frames if f["t"] == "enrol"]

    async def freeze(self, job_id: str, enrolments: list[Enrolment]) -> core.MemberLog:
        """Freeze the log and tell every wallet its place."""
        job = uuid.UUID(job_id).bytes
        log = core.MemberLog(job=job, enrolments=enrolments)
        body = {"job": job, "root": log.root, "size": log.size}
        signature = signing.sign(self.distributor_key, b"cssi/v1/log", body)
        from aggregation.wire.merkle import MerkleLog

        tree = MerkleLog([e.leaf() for e in enrolments])
        for index, enrolment in enumerate(enrolments):
            key = enrolment.subscription_key
            self.places[key] = {
                "t": "enrolled",
                "to": key,
                "job": job,
                "index": index,
                "size": log.size,
                "root": log.root,
                "proof": tree.proof(index),
                "sig": signature,
            }
            await self._to(key, self.places[key])
        return log

    async def invite(self, to: bytes, task: bytes, signature: bytes, size: int) -> bytes:
        """Invite one wallet."""
        ident = secrets.token_bytes(16)
        await self._to(
            to, {"t": "invite", "id": ident, "to": to, "task": task, "sig": signature, "cohort_size": size}
        )
        return ident

    async def answer_to(self, ident: bytes) -> dict[str, Any]:
        """The accept or decline frame for an invitation."""
        await self.until(lambda: any(f.get("id") == ident for f in self.frames))
        return next(f for f in self.frames if f.get("id") == ident)

    async def deliver(self, to: bytes, ident: bytes, manifest_hash: bytes) -> bytes:
        """Deliver a task; the ticket."""
        ticket = secrets.token_bytes(16)
        frame = {"t": "deliver", "id": ident, "payload_url": "/wallets/payload/x", "payload_token": "t"}
        await self._to(to, {**frame, "manifest": manifest_hash, "ticket": ticket})
        return ticket

    async def _to(self, key: bytes, message: dict[str, Any]) -> None:
        line = next(line for line in reversed(self.lines) if key in line.keys)
        await line.send(message)

    async def say(self, job_key: bytes, message: dict[str, Any]) -> None:
        """Say something on a member's round socket and remember it for a re-join."""
        member = self.members[job_key]
        member.sent.append(message)
        if member.send is not None:
            with suppress(OSError):  # it was cut a moment ago and asks again when it is back
                await member.send(message)

    # the application

    async def _app(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _socket(self, scope: Scope, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        key = self.distributor_key if scope["path"] == "/ws/wallet/" else self.aggregator_key
        challenge = {"nonce": secrets.token_bytes(32), "time": documents.now()}
        signature = signing.sign(key, b"cssi/v1/challenge", challenge)

        async def say(message: dict[str, Any]) -> None:
            await send({"type": "websocket.send", "bytes": cbor.encode(message)})

        await say({"t": "challenge", **challenge, "key": signing.public_key(key), "sig": signature})
        proof = {**challenge, "server": signing.public_key(key)}
        handler = self._wallet_frame if scope["path"] == "/ws/wallet/" else self._round_frame
        line = WalletLine(send=say)
        while True:
            event = await receive()
            if event["type"] == "websocket.disconnect":
                break
            self.raw.append(event["bytes"])
            await handler(line, proof, event["bytes"])
            async with self._arrived:
                self._arrived.notify_all()
        if line in self.lines:
            self.lines.remove(line)
        for member in self.members.values():
            if member.send is say:
                member.send = None
        async with self._arrived:
            self._arrived.notify_all()

    async def _wallet_frame(self, line: WalletLine, proof: dict[str, Any], frame: bytes) -> None:
        message = cbor.decode(frame)
        self.frames.append(message)
        if message["t"] == "hello":
            for _, public, signature in message["keys"]:
                signing.verify(public, b"cssi/v1/hello", proof, signature)
                line.keys.add(public)
            self.lines.append(line)
            await line.send({"t": "welcome", "heartbeat": 30})
            # As the distributor does: a place in a log may have been lost with the line that was cut.
            for key in line.keys & self.places.keys():
                await line.send(self.places[key])
        elif message["t"] == "bind":
            signing.verify(message["public"], b"cssi/v1/hello", proof, message["sig"])
            line.keys.add(message["public"])

    async def _round_frame(self, line: WalletLine, proof: dict[str, Any], frame: bytes) -> None:
        outer = cbor.decode(frame)
        assert outer["t"] in {"sealed", "next"}, "nothing but sealed bodies may come from a wallet"
        if outer["t"] == "sealed":
            recipient = sealing.Recipient(self.seal_key)
            plain, line.unsealer = recipient.unsealer(b"cssi/v1/round-socket", outer["b"])
        else:
            assert line.unsealer is not None
            plain = line.unsealer.unseal(outer["b"])
        message = cbor.decode(plain)
        if message["t"] == "join":
            body = {**proof, "job": message["job"], "round": message["round"]}
            signing.verify(message["job_key"], b"cssi/v1/join", body, message["sig"])
            member = self.members.setdefault(message["job_key"], Member())
            member.send = line.send
            line.keys = {message["job_key"]}
            await line.send({"t": "joined", "phase": "x"})
            for old in member.sent[-2:]:
                await line.send(old)
            return
        (job_key,) = line.keys
        member = self.members[job_key]
        if message["t"] == "cannot":
            member.cannot = message["code"]
        elif message["t"] == "receipt":
            member.got["receipt"] = message["m"]
        else:
            step = ("advertise", "share_keys", "consistency", "unmask")
            if message["m"] not in member.got.values():
                name = next(name for name in step if name not in member.got)
                member.got[name] = message["m"]
        await line.send({"t": "ack", "of": message["t"]})

    async def _http(self, scope: Scope, receive: Any, send: Any) -> None:
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        self.raw.append(body)
        status, answer = self._route(scope["method"], scope["path"], body)
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": answer})
        async with self._arrived:
            self._arrived.notify_all()

    def _route(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        if self.refuse_with is not None:
            return self.refuse_with, b'{"code":"refused_by_test","detail":"The test refuses this."}'
        if path == "/wallets/payload/x":
            return 200, self.payload
        if path.startswith("/aggregator/slots/"):
            return self._slot(path.rsplit("/", 1)[1], body)
        if path == "/aggregator/payout-openings":
            opening = PayoutOpening.from_bytes(sealing.unseal(self.seal_key, b"cssi/v1/payout-opening", body))
            opening.verify()
            self.openings.append(opening)
            return 201, b""
        if path == "/aggregator/appeals":
            appeal = Appeal.from_bytes(sealing.unseal(self.seal_key, b"cssi/v1/appeal", body))
            appeal.verify()
            self.appeals.append(appeal)
            return 201, b""
        parts = path.removeprefix("/api/v1/").split("/")
        sent = json.loads(body) if body else None
        self.posted["/".join(parts)].append(sent)
        return 200, json.dumps(self._api(parts, sent)).encode()

    def _slot(self, token: str, body: bytes) -> tuple[int, bytes]:
        known = self.slots.get(token)
        if known is not None:
            return (200 if known == body else 409), b""
        self.slots[token] = body
        return 201, b""

    def _api(self, parts: list[str], sent: Any) -> Any:
        match parts:
            case ["server"]:
                return self.description()
            case ["wallets", "pair"]:
                return {"server": self.description(), "account_label": "Ivo"}
            case ["collectives", _, "terms"]:
                return self.collective.terms_envelope
            case ["collectives", _, "subscriptions"]:
                envelope = self.collective.permit_for(sent)
                key = bytes.fromhex(sent["document"]["subscription_key"])
                self.subscribers[key] = sent["document"]
                return envelope
            case ["collectives", _, "revocations"]:
                self.subscribers.pop(bytes.fromhex(sent["document"]["subscription_key"]), None)
                return {}
            case ["payouts", _]:
                return {"pending": "5", "paid": "7", "next_epoch": 3, "note": "Paid every day."}
        return {}

    def unsealed_slot(self, token: str) -> bytes:
        """The MaskedInput bytes of an upload."""
        return sealing.unseal(self.seal_key, b"cssi/v1/slot", self.slots[token])


def secret(byte: int) -> Secret:
    """A fixed private key for a small cast."""
    return Secret(bytes([byte]) * 32)
