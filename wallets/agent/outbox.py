"""Outgoing things that must arrive some day: revocations, links, payout openings, answers to notices.

They are written in the same transaction as what they tell about, sent when a server can be reached, and repeated until it
answers. Every one is idempotent at its receiver.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aggregation.wire import sealing
from wallets.agent.errors import ServerRefused, Unreachable
from wallets.agent.server import ServerDescription
from wallets.agent.transport import Transport
from wallets.agent.vault import Records, WalletStore

CATEGORY = "outgoing"
SEAL_OPENING = "cssi/v1/payout-opening"
SEAL_APPEAL = "cssi/v1/appeal"
DONE_STATUS = frozenset({200, 201, 204})


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One outgoing thing. `to` is "api" (JSON body) or "aggregator" (bytes, sealed when sent under the label `seal`)."""

    to: str
    method: str
    path: str
    json_body: Any = None
    body: bytes = b""
    seal: str = SEAL_OPENING

    def to_record(self) -> dict[str, Any]:
        """For the encrypted store."""
        return {
            "to": self.to,
            "method": self.method,
            "path": self.path,
            "json": self.json_body,
            "body": self.body.hex(),
            "seal": self.seal,
        }


class Outbox:
    """The queue in a wallet's store."""

    def __init__(self, store: WalletStore, transport: Transport, rng: Callable[[int], bytes]) -> None:
        self._store = store
        self._transport = transport
        self._rng = rng
        self._flushing = asyncio.Lock()

    async def waiting(self) -> int:
        """How many letters wait."""
        return len(await self._store.list(CATEGORY))

    async def flush(self, server: ServerDescription | None) -> list[ServerRefused]:
        """Send everything that waits, in the order it was written; stop at the first server that does not answer.

        Returns final refusals (their letters are dropped: repeating cannot help). Never raises Unreachable.
        """
        refusals: list[ServerRefused] = []
        if server is None:
            return refusals
        async with self._flushing:
            for name, record in sorted((await self._store.list(CATEGORY)).items()):
                try:
                    await self._send(server, record)
                except Unreachable:
                    break
                except ServerRefused as refusal:
                    if not refusal.permanent:
                        break
                    refusals.append(refusal)
                await self._store.remove(CATEGORY, name)
        return refusals

    async def _send(self, server: ServerDescription, record: dict[str, Any]) -> None:
        if record["to"] == "api":
            await self._transport.call(record["method"], server.api_url(record["path"]), record["json"])
            return
        # A letter written before there were two kinds has no label: it is an opening.
        label = record.get("seal", SEAL_OPENING)
        sealed = sealing.seal(
            server.aggregator_seal_key, label.encode(), bytes.fromhex(record["body"]), self._rng
        )
        url = f"{server.aggregator_http}{record['path']}"
        answer = await self._transport.request(record["method"], url, content=sealed)
        if answer.status not in DONE_STATUS:
            appeal = label == SEAL_APPEAL
            raise ServerRefused(
                f"The aggregator did not take {'an appeal' if appeal else 'a payout address'} ({answer.status}).",
                code="appeal_refused" if appeal else "opening_refused",
                status=answer.status,
            )


async def queue(records: Records, letter: Letter, rng: Callable[[int], bytes]) -> None:
    """Write a letter inside a transaction."""
    counter = await records.get("meta", "outgoing") or {"next": 0}
    await records.put(CATEGORY, f"{counter['next']:08d}-{rng(4).hex()}", letter.to_record())
    await records.put("meta", "outgoing", {"next": counter["next"] + 1})
