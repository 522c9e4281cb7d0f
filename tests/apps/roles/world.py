"""Both roles on real loopback sockets, with a worker that runs Celery's tasks in threads, and the collective's calls."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import numpy as np
import uvicorn
from asgiref.sync import sync_to_async
from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.db import connections

from aggregation.server import context
from aggregation.server import hub as aggregator_hub
from aggregation.server import lifespan as aggregator_lifespan
from aggregation.server import routing as aggregator_routing
from aggregation.server import tasks as aggregator_tasks
from aggregation.server.openings import APPEALS, OPENINGS
from aggregation.server.slots import SlotApp
from aggregation.wire import cbor, http
from aggregation.wire.secret import Secret
from marketplace.http_protocol import HttpProtocol
from tests.apps.roles.wallet import Wallet, random_update
from wallets.distributor import lifespan as distributor_lifespan
from wallets.distributor import routing as distributor_routing
from wallets.distributor import tasks as distributor_tasks
from wallets.distributor.payloads import PayloadApp

PHASES = ("advertise", "share_keys", "masked_input", "consistency", "unmask")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def application() -> Any:
    django_app = get_asgi_application()
    raw = {
        "/wallets/payload/": PayloadApp(),
        "/aggregator/slots/": SlotApp(),
        "/aggregator/payout-openings": OPENINGS,
        "/aggregator/appeals": APPEALS,
    }

    async def http_app(scope: Any, receive: Any, send: Any) -> None:
        app = next((app for prefix, app in raw.items() if scope["path"].startswith(prefix)), django_app)
        await app(scope, receive, send)

    sockets = [*distributor_routing.websocket_urlpatterns, *aggregator_routing.websocket_urlpatterns]
    return ProtocolTypeRouter({"http": http_app, "websocket": URLRouter(sockets)})


class Worker:
    """Runs tasks sent by name in threads, and sweeps, as a Celery worker with beat does."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(2)
        self._sweeper: asyncio.Task[None] | None = None
        self.alive = True

    def send_task(self, name: str, args: tuple[Any, ...] = (), **options: Any) -> None:
        if self.alive:
            self._pool.submit(self._run, name, args)

    def _run(self, name: str, args: tuple[Any, ...]) -> None:
        task = getattr(
            distributor_tasks if name.startswith("distributor") else aggregator_tasks, name.split(".")[1]
        )
        try:
            if name == "aggregator.step_round":
                while self.alive and not aggregator_tasks.drive(*args):
                    time.sleep(0.02)
            else:
                task(*args)
        finally:
            connections.close_all()

    def start(self) -> None:
        self._sweeper = asyncio.create_task(self._sweep())

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            if self.alive:
                await asyncio.get_running_loop().run_in_executor(
                    self._pool, self._run, "distributor.sweep", ()
                )
                await asyncio.get_running_loop().run_in_executor(
                    self._pool, self._run, "aggregator.sweep", ()
                )

    async def stop(self) -> None:
        assert self._sweeper is not None
        self._sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await self._sweeper
        await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)


class World:
    """A collective with one job, its wallets, and both roles."""

    def __init__(self, *, d: int = 40, q: int = 12) -> None:
        self.d, self.q = d, q
        self.bits = q
        """How long honest updates are: of so many bits."""
        self.collective_id, self.job_id = uuid.uuid4(), uuid.uuid4()
        self.manifest = os.urandom(32)
        self.requirement = os.urandom(32)
        self.port = free_port()
        self.http = f"http://127.0.0.1:{self.port}"
        self.ws = f"ws://127.0.0.1:{self.port}"
        self.seal_key = self.sealing_key()
        self.wallets: list[Wallet] = []
        self.worker = Worker()
        self.rate = 5 * 10**15
        self.client = httpx.AsyncClient(trust_env=False, verify=False, timeout=30)

    # the servers

    async def start_web(self) -> None:
        context.forget()
        await distributor_lifespan.start()
        await aggregator_lifespan.start()
        config = uvicorn.Config(
            application(),
            host="127.0.0.1",
            port=self.port,
            log_level="warning",
            log_config=None,
            lifespan="off",
            http=HttpProtocol,
            ws="websockets-sansio",
            ws_max_size=65536,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=1,
        )
        self.server = uvicorn.Server(config)
        self.server.config.setup_event_loop = lambda: None  # type: ignore[attr-defined]
        self._serving = asyncio.create_task(self.server._serve())
        while not self.server.started:
            await asyncio.sleep(0.01)

    async def kill_web(self) -> None:
        """Every socket is cut and everything held in memory is lost."""
        # A killed process writes nothing more: not that its sockets are gone, either.
        aggregator_hub.current().leave = lambda connection: None  # type: ignore[method-assign]
        for connection in list(self.server.server_state.connections):
            connection.transport.abort()
        self.server.should_exit = self.server.force_exit = True
        await distributor_lifespan.stop()
        await aggregator_lifespan.stop()
        with suppress(asyncio.CancelledError):
            await self._serving
        context.forget()

    async def stop(self) -> None:
        for wallet in self.wallets:
            await wallet.stop()
        await self.client.aclose()
        await self.worker.stop()
        await self.kill_web()
        await sync_to_async(connections.close_all)()

    def sealing_key(self) -> bytes:
        """What wallets seal to."""
        return bytes.fromhex(settings.AGGREGATOR_SEAL_PUBLIC_KEY)

    # where a path is answered: here both roles listen at one place

    def url(self, path: str) -> str:
        return self.http + path

    def socket(self, path: str) -> str:
        return self.ws + path

    # service calls

    def key(self, role: str) -> Secret:
        """What a role signs its calls with."""
        return Secret(bytes.fromhex(getattr(settings, f"{role.upper()}_KEY_FILE").read_text()))

    async def call(self, role: str, method: str, path: str, body: Any = None) -> Any:
        raw = b"" if body is None else json.dumps(body).encode()
        header = http.sign_request(
            role=role,
            private=self.key(role),
            method=method,
            path=path,
            body=raw,
            now=int(time.time()),
            nonce=os.urandom(16),
        )
        answer = await self.client.request(
            method, self.url(path), content=raw, headers={"Authorization": header}
        )
        return answer.status_code, answer.json()

    async def ok(self, role: str, method: str, path: str, body: Any = None) -> Any:
        status, answer = await self.call(role, method, path, body)
        assert status == 200, (path, status, answer)
        return answer

    # the collective

    async def enrol(
        self, count: int, *, seconds: int = 20, scripts: dict[int, dict[str, Any]] | None = None
    ) -> None:
        scripts = scripts or {}
        self.wallets = [Wallet(self, number, **scripts.get(number, {})) for number in range(count)]
        base = f"/internal/distributor/collectives/{self.collective_id}/subscribers"
        for wallet in self.wallets:
            body = {"terms_hash": os.urandom(32).hex(), "expires": int(time.time()) + 10_000}
            await self.ok("collectives", "PUT", f"{base}/{wallet.public.hex()}", body)
        for wallet in self.wallets:
            wallet.start()
        await asyncio.gather(*(wallet.connected.wait() for wallet in self.wallets))
        await self.announce(seconds=seconds)

    async def announce(self, *, seconds: int) -> None:
        """Make the job, ask everyone to enrol, and wait until the log is frozen."""
        job = f"/internal/distributor/jobs/{self.job_id}"
        made = await self.ok("collectives", "PUT", job, {"collective_id": str(self.collective_id)})
        document = {
            "version": 1,
            "collective_id": str(self.collective_id),
            "job_id": str(self.job_id),
            "manifest_hash": self.manifest.hex(),
            "rate": str(self.rate),
            "expires": int(time.time()) + 5000,
            "cohort_commitment": made["cohort_commitment"],
        }
        envelope = {"kind": "job", "document": document, "key": "00" * 32, "signature": "00" * 64}
        await self.ok(
            "collectives", "PUT", f"{job}/announcement", {"envelope": envelope, "enrol_seconds": seconds}
        )
        await self.until(self._frozen)

    async def _frozen(self) -> bool:
        answer = await self.ok("collectives", "GET", f"/internal/distributor/jobs/{self.job_id}")
        return bool(answer["state"] == "frozen")

    async def open_round(
        self,
        number: int,
        *,
        cohort: int,
        bucket_size: int = 10,
        bucket_min: int = 4,
        release_min: int = 8,
        seconds: int = 30,
        phase: dict[str, int] | None = None,
        accept_seconds: int = 5,
        minimum: int | None = None,
        weights: int | None = None,
        rule: str = "sum",
    ) -> None:
        checkpoint = os.urandom(32)
        base = f"/internal/aggregator/jobs/{self.job_id}/rounds/{number}"
        body = {
            "manifest_hash": self.manifest.hex(),
            "checkpoint_hash": checkpoint.hex(),
            "requirement_hash": self.requirement.hex(),
            "d": self.d,
            "clip_micro": 1_000_000,
            "noise_micro": 0,
            "q": self.q,
            "f": 8,
            "bucket_size": bucket_size,
            "bucket_min": bucket_min,
            "release_min": release_min,
            "cohort": cohort,
            "development": release_min < 100,
            "phase_seconds": dict.fromkeys(PHASES, seconds) | (phase or {}),
            "rule": rule,
        }
        opened = await self.ok("collectives", "PUT", base, body)
        task = {
            "v": 1,
            "collective": self.collective_id.bytes,
            "job": self.job_id.bytes,
            "round": number,
            "header": base64.b64decode(opened["header"]),
            "manifest": self.manifest,
            "requirement": self.requirement,
            "checkpoint": checkpoint,
            "rate": str(self.rate),
            "expires": int(time.time()) + 600,
        }
        payload = cbor.encode(
            {"manifest": b"{}", "weights": bytes(4 * self.d if weights is None else weights)}
        )
        order = {
            "task_body": base64.b64encode(cbor.encode(task)).decode(),
            "task_sig": base64.b64encode(bytes(64)).decode(),
            "payload": base64.b64encode(payload).decode(),
            "cohort": cohort,
            "minimum": release_min if minimum is None else minimum,
            "over_selection_ppm": 1_000_000,
            "max_deliveries": cohort,
            "accept_seconds": accept_seconds,
        }
        await self.ok(
            "collectives", "PUT", f"/internal/distributor/jobs/{self.job_id}/rounds/{number}", order
        )

    async def state(self, number: int) -> dict[str, Any]:
        return dict(
            await self.ok("collectives", "GET", f"/internal/aggregator/jobs/{self.job_id}/rounds/{number}")
        )

    async def distributed(self, number: int) -> dict[str, Any]:
        path = f"/internal/distributor/jobs/{self.job_id}/rounds/{number}"
        return dict(await self.ok("collectives", "GET", path))

    async def over(self, number: int, seconds: float = 60) -> dict[str, Any]:
        async def done() -> bool:
            return (await self.state(number))["state"] in {"released", "abandoned", "posted"}

        await self.until(done, seconds)
        return await self.state(number)

    async def sum(self, number: int) -> tuple[Any, int]:
        path = f"/internal/aggregator/jobs/{self.job_id}/rounds/{number}/sum"
        answer = await self.ok("collectives", "GET", path)
        return np.frombuffer(base64.b64decode(answer["sum"]), dtype="<i8"), answer["count"]

    def update(self, wallet: Wallet, number: int) -> Any:
        if "sends" in wallet.script:
            return np.full(self.d, wallet.script["sends"], dtype=np.int64)
        return random_update(self.bits, self.d, wallet.number * 1000 + number)

    def plain_sum(self, number: int, wallets: list[Wallet]) -> Any:
        return sum((wallet.updates[number] for wallet in wallets), np.zeros(self.d, dtype=np.int64))

    async def until(self, condition: Any, seconds: float = 30) -> None:
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.05)
