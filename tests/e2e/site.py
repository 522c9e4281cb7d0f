"""The scripted servers with the wallet's own files beside them, so that everything has one origin as in the market, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from aggregation.wire import signing
from marketplace import browser_wallet
from tests.e2e.tab import POLICY, answer
from tests.unit.agent import documents
from tests.unit.agent.rounds import Round
from tests.unit.agent.world import World

APP = "/wallet-app/"


class Site(World):
    """Serves the pages of `tests.e2e.tab`, and the wallet's real ones below `/wallet-app/` under their real policy."""

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        found = self._file(scope["path"]) if scope["method"] == "GET" else None
        if found is None:
            await super()._http(scope, receive, send)
            return
        kind, body, policy = found
        headers = [(b"content-type", kind.encode()), (b"content-security-policy", policy.encode())]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _file(self, path: str) -> tuple[str, bytes, str] | None:
        if path.startswith(APP):
            file = browser_wallet.files().get(path.removeprefix(APP) or browser_wallet.INDEX)
            policy = browser_wallet.policy().replace(
                "connect-src 'self'", f"connect-src 'self' ws://127.0.0.1:{self.port}"
            )
            return (browser_wallet.TYPES[file.suffix], file.read_bytes(), policy) if file else None
        found = answer(path)
        return (*found, POLICY) if found else None

    async def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """With more patience by default: behind each answer there is a browser."""
        await super().until(condition, seconds)

    async def bound(self, keys: int) -> None:
        """Until the open lines have shown so many keys between them."""
        await self.until(lambda: sum(len(line.keys) for line in self.lines) == keys, 60)

    async def enrolled(self) -> Callable[[int], Round]:
        """Announce a job, take the enrolments, freeze the log: rounds of it by number."""
        job = self.collective.job(
            documents.now(),
            distributor_key=signing.public_key(self.distributor_key).hex(),
            aggregator_key=signing.public_key(self.aggregator_key).hex(),
        )
        enrolments = await self.enrol_all(job)
        ident = job["document"]["job_id"]
        log = await self.freeze(ident, enrolments)
        return lambda number: Round(self, job_id=ident, number=number, log=log, enrolments=enrolments)


class Loop:
    """The servers' own thread: the browser's driver has this one."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __call__(self, work: Coroutine[Any, Any, Any], seconds: float = 90) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


async def started(**terms: Any) -> Site:
    return await Site(development=True, **terms).__aenter__()  # type: ignore[return-value]
