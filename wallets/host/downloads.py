"""The model of a round, fetched once for all wallets of a host that were sent to the same address.

The address carries the SHA-256 of the payload and the round's token, and every wallet checks what it got against its own signed task
as if it had fetched it itself; so what is shared saves a thousand equal downloads a round and trusts nobody more.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any
from urllib.parse import urlsplit

from wallets.agent.transport import JSON_BYTES, Answer, Transport

PAYLOADS = "/wallets/payload/"
KEPT = 4


class SharedDownloads(Transport):
    """A transport whose downloads of payloads are shared; everything else is the ordinary transport's."""

    def __init__(self) -> None:
        super().__init__()
        self._payloads: OrderedDict[str, asyncio.Task[Answer]] = OrderedDict()

    async def request(
        self,
        method: str,
        url: str,
        *,
        content: bytes | None = None,
        json_body: Any = None,
        most: int = JSON_BYTES,
    ) -> Answer:
        """As the ordinary transport; a failed download is not kept."""
        if method != "GET" or PAYLOADS not in urlsplit(url).path:
            return await super().request(method, url, content=content, json_body=json_body, most=most)
        task = self._payloads.get(url)
        if task is None:
            task = asyncio.get_running_loop().create_task(super().request(method, url, most=most))
            self._payloads[url] = task
            while len(self._payloads) > KEPT:
                self._payloads.popitem(last=False)
        try:
            answer = await asyncio.shield(task)
        except Exception:
            self._forget(url, task)
            raise
        if answer.status != 200:
            self._forget(url, task)
        return answer

    def _forget(self, url: str, task: asyncio.Task[Answer]) -> None:
        if self._payloads.get(url) is task:
            del self._payloads[url]
