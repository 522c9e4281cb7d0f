"""Asks the aggregator what is to be signed, signs it once, hands the signature back.

The aggregator makes no outgoing call, so the distributor polls it. Nothing is lost when either side dies: an unsigned
request is listed again, a repeated one gets the signature that was logged.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import uuid
from typing import Any

import httpx

from aggregation.wire.errors import WireError
from wallets.distributor import clients, config
from wallets.distributor.batching import DatabaseThread
from wallets.distributor.errors import AggregatorDown, AggregatorRefused, DistributorError
from wallets.distributor.services import signing

logger = logging.getLogger(__name__)
WAIT_SECONDS = 20
LONGEST_PAUSE = 5.0
REQUESTS = "/internal/aggregator/signing-requests"


class Poller:
    def __init__(self) -> None:
        self._thread = DatabaseThread("distributor-signing")
        self._task: asyncio.Task[None] | None = None
        self._refused: set[str] = set()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._thread.close()

    async def _run(self) -> None:
        pause = 0.1
        timeout = httpx.Timeout(WAIT_SECONDS + 10, connect=5.0)
        async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
            while True:
                try:
                    busy = await self.poll(client)
                    pause = 0.1
                    if not busy:
                        await asyncio.sleep(0.02)
                except Exception as error:
                    # Down, restarting, or a bug: in every case the request is listed again.
                    logger.info("signing requests could not be fetched (%s)", type(error).__name__)
                    await asyncio.sleep(pause)
                    pause = min(LONGEST_PAUSE, pause * 2)

    async def poll(self, client: httpx.AsyncClient, *, wait: int = WAIT_SECONDS) -> bool:
        """One long poll and its signatures; whether anything was signed."""
        requests = await self._call(client, "GET", f"{REQUESTS}?wait={wait}")
        signed = False
        for request in requests:
            if request["id"] not in self._refused:
                await self._sign(client, request)
                signed = True
        if requests and not signed:
            await asyncio.sleep(1)  # only requests that were refused: do not spin on them
        return signed

    async def _sign(self, client: httpx.AsyncClient, request: dict[str, Any]) -> None:
        try:
            signature = await self._thread.run(_sign, request)
        except (DistributorError, WireError) as error:
            logger.warning("a signing request was refused: %s", error.code)
            self._refused.add(request["id"])
            return
        body = {"signature": clients.b64(signature)}
        try:
            await self._call(client, "POST", f"{REQUESTS}/{request['id']}", body)
        except AggregatorRefused as error:
            logger.warning("the aggregator did not take a signature: %s", error.code)
            self._refused.add(request["id"])

    async def _call(self, client: httpx.AsyncClient, method: str, path: str, body: Any = None) -> Any:
        raw = b"" if body is None else json.dumps(body).encode()
        headers = clients.signed_headers(method, path, raw)
        try:
            answer = await client.request(
                method, config.aggregator_url() + path, content=raw, headers=headers
            )
        except httpx.HTTPError as error:
            raise AggregatorDown("The aggregator does not answer.") from error
        return clients.parsed(answer)


def _sign(request: dict[str, Any]) -> bytes:
    return signing.sign(
        kind=str(request["kind"]),
        body=base64.b64decode(request["body"]),
        job_id=uuid.UUID(request["job"]),
        number=int(request["round"]),
    )
