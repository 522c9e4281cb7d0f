"""A host driven by lines: JSON commands on standard input, JSON events on standard output.

Every command may carry an `id`, which its reply repeats. Replies: {"event": "reply", "id", "cmd", "ok", …} or
{"ok": false, "code", "detail"}. Events name wallets of this host by its own numbering, never a pseudonym or an account.

| cmd | fields | reply |
|---|---|---|
| create | records: path of a JSON-lines file, or `inline`: list of records; prefix? | wallets: names in order |
| server | url, pin? | pins the server for wallets made from here on |
| pair | wallet, link | label |
| subscribe | wallets: list, or omitted for all; collective; missing?: only those without a subscription; most? | subscribed: count, refused: count per code |
| run | wallets? | running |
| disconnect | wallet | |
| revoke | wallet, collective | milliseconds, visits_stopped, erased, servers_told |
| fault | round, kind, after?, count?, wallets?, seconds? | |
| faults | forget? | suffered per planned fault; with forget the plan is empty afterwards |
| visits | wallet, kinds? | entries of its journal |
| books | first, count | by wallet: payout address, visits in its journal, proofs that were on their way when it stopped |
| permits | wallet | collective ids |
| selftest | | probes, layers |
| status | | counts |
| spy | path | writes what the spy saw (only with --spy) |
| stop | | |
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wallets.agent import server
from wallets.agent.errors import BadData, WalletError
from wallets.agent.round_line import Step
from wallets.agent.transport import Transport, check_url
from wallets.host.faults import Fault, FaultKind
from wallets.host.host import Host

QUIET = {"step"}
Reply = dict[str, Any]


def emit(line: dict[str, Any]) -> None:
    """One event line, whole and at once."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def observe(wallet: str, name: str, what: dict[str, Any]) -> None:
    """The observer a driven host uses."""
    if name not in QUIET:
        emit({"event": name, "wallet": wallet, **what})


class Controller:
    """Executes command lines against one host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Read commands until `stop` or the end of input; commands run side by side, replies come when they are done."""
        reader = asyncio.StreamReader(limit=64 * 1024 * 1024)
        protocol = asyncio.StreamReaderProtocol(reader)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: protocol, sys.stdin)
        emit({"event": "ready", **self._host.status()})
        ended = loop.create_task(self._stopping.wait())
        while not self._stopping.is_set():
            line = loop.create_task(reader.readline())
            await asyncio.wait({line, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not line.done():
                line.cancel()
                break
            if not line.result():
                break
            task = loop.create_task(self._answer(line.result()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        ended.cancel()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(self, line: bytes) -> None:
        ident: Any = None
        name = ""
        try:
            order = json.loads(line)
            ident, name = order.get("id"), order["cmd"]
            handler = self._COMMANDS.get(name)
            if handler is None:
                raise BadData(f"There is no command {name!r}. Known: {', '.join(self._COMMANDS)}.")
            reply = await handler(self, order)
            emit({"event": "reply", "id": ident, "cmd": name, "ok": True, **reply})
        except WalletError as error:
            emit(
                {
                    "event": "reply",
                    "id": ident,
                    "cmd": name,
                    "ok": False,
                    "code": error.code,
                    "detail": error.sentence,
                }
            )
        except (KeyError, TypeError, ValueError, OSError, AttributeError) as error:
            detail = f"The command is not understood: {type(error).__name__} {error}"
            emit(
                {
                    "event": "reply",
                    "id": ident,
                    "cmd": name,
                    "ok": False,
                    "code": "bad_command",
                    "detail": detail,
                }
            )

    async def _create(self, order: dict[str, Any]) -> Reply:
        if "inline" in order:
            records = list(order["inline"])
        else:
            text = await asyncio.to_thread(Path(order["records"]).read_text, "utf-8")
            records = [json.loads(line) for line in text.splitlines() if line.strip()]
        names = await self._host.create_wallets(records, prefix=str(order.get("prefix", "w")))
        return {"wallets": names}

    async def _server(self, order: dict[str, Any]) -> Reply:
        await know_server(self._host, order["url"], order.get("pin", ""))
        return {}

    async def _pair(self, order: dict[str, Any]) -> Reply:
        return {"wallet": order["wallet"], "label": await self._host.pair(order["wallet"], order["link"])}

    async def _subscribe(self, order: dict[str, Any]) -> Reply:
        names = order.get("wallets") or list(self._host.agents)
        if order.get("missing"):
            names = [name for name in names if not self._host.wallet(name).routes]
        outcomes = await self._host.subscribe(names[: order.get("most")], order["collective"])
        return {"subscribed": outcomes.pop("subscribed", 0), "refused": dict(outcomes)}

    async def _run(self, order: dict[str, Any]) -> Reply:
        for name in order.get("wallets") or list(self._host.agents):
            self._host.run_wallet(name)
        return {"running": self._host.status()["running"]}

    async def _disconnect(self, order: dict[str, Any]) -> Reply:
        await self._host.disconnect(order["wallet"])
        return {}

    async def _revoke(self, order: dict[str, Any]) -> Reply:
        result = await self._host.revoke(order["wallet"], order["collective"])
        return {"wallet": order["wallet"], **asdict(result)}

    async def _fault(self, order: dict[str, Any]) -> Reply:
        self._host.faults.add(
            Fault(
                round=int(order["round"]),
                kind=FaultKind(order["kind"]),
                after=Step(order.get("after", Step.JOINED)),
                count=int(order.get("count", 1)),
                wallets=frozenset(order.get("wallets", ())),
                seconds=float(order.get("seconds", 0)),
            )
        )
        return {}

    async def _faults(self, order: dict[str, Any]) -> Reply:
        planned = list(self._host.faults.faults)
        if order.get("forget"):
            self._host.faults.faults.clear()
        return {
            "faults": [
                {
                    "round": f.round,
                    "kind": f.kind,
                    "after": f.after,
                    "count": f.count,
                    "seconds": f.seconds,
                    "suffered": f.suffered,
                }
                for f in planned
            ]
        }

    async def _visits(self, order: dict[str, Any]) -> Reply:
        journal = self._host.wallet(order["wallet"]).journal
        entries = await journal.entries(kinds=order.get("kinds", ()))
        return {"wallet": order["wallet"], "entries": [asdict(entry) for entry in entries]}

    async def _books(self, order: dict[str, Any]) -> Reply:
        names = sorted(self._host.agents)[int(order["first"]) : int(order["first"]) + int(order["count"])]
        return {"books": [await self._host.books(name) for name in names]}

    async def _permits(self, order: dict[str, Any]) -> Reply:
        held = await self._host.wallet(order["wallet"]).store.list("permit")
        return {"wallet": order["wallet"], "permits": sorted(held)}

    async def _selftest(self, order: dict[str, Any]) -> Reply:
        results = await self._host.launcher.self_test()
        return {
            "probes": [asdict(result) for result in results],
            "layers": sorted(self._host.launcher.layers),
        }

    async def _status(self, order: dict[str, Any]) -> Reply:
        return self._host.status()

    async def _spy(self, order: dict[str, Any]) -> Reply:
        if self._host.spy is None:
            raise BadData("This host was started without a spy.", code="no_spy")
        await asyncio.to_thread(self._host.spy.write, Path(order["path"]))
        return {"path": order["path"]}

    async def _stop(self, order: dict[str, Any]) -> Reply:
        self._stopping.set()
        return {}

    _COMMANDS: dict[str, Callable[[Controller, dict[str, Any]], Awaitable[Reply]]] = {
        "create": _create,
        "server": _server,
        "pair": _pair,
        "subscribe": _subscribe,
        "run": _run,
        "disconnect": _disconnect,
        "revoke": _revoke,
        "fault": _fault,
        "faults": _faults,
        "visits": _visits,
        "books": _books,
        "permits": _permits,
        "selftest": _selftest,
        "status": _status,
        "spy": _spy,
        "stop": _stop,
    }


async def know_server(host: Host, url: str, pin: str) -> None:
    """Fetch and pin the server description that wallets of this host start with."""
    transport = Transport()
    try:
        host.pin_server(await server.fetch(transport, check_url(url), pin))
    finally:
        await transport.close()
