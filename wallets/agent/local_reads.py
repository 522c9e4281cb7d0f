"""What the holder's own pages show, read from an open wallet. Money as decimal text, times as unix seconds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from collectives.terms.description import Terms, tokens, words_for_agreement
from wallets.agent import (
    backup,
    journal,
    ledger,
    notices,
    permits,
    receipts,
    server,
    settings,
    standing,
    versions,
)
from wallets.agent import earnings as money
from wallets.agent.commands_limits import sentences
from wallets.agent.holder import Holder
from wallets.agent.journal import Kind
from wallets.agent.ledger import Ledger
from wallets.agent.limits import MICRO, epsilon_of
from wallets.agent.messages import Memory

Body = Mapping[str, Any]
View = Callable[[Holder, Body], Awaitable[Any]]


async def overview(holder: Holder, body: Body) -> Any:
    """What needs the holder's eye, and the health of the wallet."""
    agent = holder.agent
    known = await notices.every(agent)
    return {
        "questions": [{"id": one.ident, **asdict(one.question)} for one in holder.pending.values()],
        "open_notices": sum(1 for one in known if not one.seen.choice),
        "permits": len(await agent.store.list("permit")),
        "health": await health(holder, body),
    }


async def list_permits(holder: Holder, body: Body) -> Any:
    """Every permit with its last use, limits and what was used of them."""
    store = holder.agent.store
    entries = await holder.agent.journal.entries(kinds=[Kind.VISIT])
    found = []
    for collective_id, stored in sorted((await store.list("permit")).items()):
        permit = permits.permit_of(stored)
        assert permit is not None
        memory = Memory.from_record(await store.get("memory", collective_id))
        said = await standing.of(holder.agent, collective_id)
        used = [entry.at for entry in entries if entry.collective_id == collective_id]
        found.append(
            {
                "collective": collective_id,
                "name": permit.name,
                "rate": tokens(permit.rate),
                "visits": len(used),
                "last_use": max(used, default=0),
                "expires": permit.expires,
                "paused": memory.paused,
                "limits": asdict(memory.limits),
                "sentences": sentences(memory),
                "standing": {"state": said["state"], "sentences": standing.sentences(said)} if said else None,
                "terms": list(words_for_agreement(Terms.parse(stored["terms"]["document"]))),
            }
        )
    return found


async def open_notices(holder: Holder, body: Body) -> Any:
    """All notices, newest first, with the holder's choice."""
    return [
        {
            "collective": one.collective_id,
            "name": one.name,
            **asdict(one.seen),
            "runs_from": one.runs_from,
            "sentences": list(one.sentences),
        }
        for one in await notices.every(holder.agent)
    ]


async def read_journal(holder: Holder, body: Body) -> Any:
    """Entries newest first, and whether the hash chain holds."""
    book = holder.agent.journal
    kinds = [str(body["kind"])] if body.get("kind") else []
    entries = await book.entries(
        kinds=kinds, collective_id=str(body.get("collective") or ""), newest_first=True
    )
    names = {
        cid: stored["permit"]["document"]["name"]
        for cid, stored in (await holder.agent.store.list("permit")).items()
    }
    shown = [
        {**asdict(e), "name": names.get(e.collective_id, ""), "tokens": tokens(int(e.amount))}
        for e in entries
    ]
    seen = sorted(
        {(e.collective_id, names.get(e.collective_id, "")) for e in await book.entries() if e.collective_id}
    )
    return {
        "entries": shown,
        "broken_at": await book.verify(),
        "kinds": [kind.value for kind in Kind],
        "collectives": [{"id": ident, "name": name or f"{ident[:8]}… (left)"} for ident, name in seen],
    }


async def export_journal(holder: Holder, body: Body) -> Any:
    entries = await holder.agent.journal.entries()
    if body.get("format") == "csv":
        return {"name": "journal.csv", "text": journal.export_csv(entries)}
    return {"name": "journal.json", "text": journal.export_json(entries)}


async def privacy(holder: Holder, body: Body) -> Any:
    """What was spent at most: of everything in a year, in words for both readers, and per collective."""
    store = holder.agent.store
    year = Ledger.from_record(await store.get(*ledger.RECORD)).spent(now=holder.agent.now())
    own = (await settings.load(store)).privacy_micro_year
    found: list[dict[str, Any]] = [
        {
            "name": "Everything together, in 365 days",
            "visits": year.visits,
            "rho": year.operator_micro / MICRO,
            "epsilon": round(year.operator_epsilon, 2),
            "limit_rho": own / MICRO,
            "share": min(1.0, year.operator_micro / own) if own else None,
            "words": year.words(),
        }
    ]
    for permit in await list_permits(holder, body):
        memory = Memory.from_record(await holder.agent.store.get("memory", permit["collective"]))
        limit = memory.limits.privacy_micro
        found.append(
            {
                "name": permit["name"],
                "visits": memory.visited,
                "rho": memory.spent_micro / MICRO,
                "epsilon": round(epsilon_of(memory.spent_micro), 2),
                "limit_rho": limit / MICRO,
                "share": min(1.0, memory.spent_micro / limit) if limit else None,
            }
        )
    return found


async def earnings(holder: Holder, body: Body) -> Any:
    """By the wallet's own journal, and what the market said last about each payout address. Asks nobody."""
    visits = await holder.agent.journal.entries(kinds=[Kind.VISIT])
    own = {"visits": len(visits), "tokens": tokens(sum(int(entry.amount) for entry in visits))}
    lines = await money.lines(holder.agent)
    newest = max((line.told for line in lines if line.told), key=lambda told: told.asked, default=None)
    return {
        "own": own,
        "addresses": [_address(line) for line in lines],
        "next_epoch": newest.next_epoch if newest else None,
        "note": newest.note if newest else "",
    }


def _address(line: money.Line) -> dict[str, Any]:
    told = line.told
    return {
        "name": line.name,
        "address": line.address,
        "pending": tokens(told.pending) if told else "",
        "paid": tokens(told.paid) if told else "",
        "asked": line.age,
    }


async def list_receipts(holder: Holder, body: Body) -> Any:
    found = await receipts.kept(holder.agent.store)
    return {
        "receipts": [{"genuine": one.genuine, "document": one.document} for one in found],
        "export": receipts.export(found),
    }


async def health(holder: Holder, body: Body) -> Any:
    """Sandbox, connection, store and journal, and the settings that govern them."""
    agent = holder.agent
    kept = await settings.load(agent.store)
    return {
        "sandbox": holder.sandbox,
        "layers": sorted(agent.launcher.layers),
        "missing": sorted(agent.launcher.missing) if agent.launcher.layers else [],
        "connected": agent.session.connected.is_set(),
        "paired": await agent.store.get(*server.RECORD) is not None,
        "waiting_letters": await agent.outbox.waiting(),
        "journal_intact": await agent.journal.verify() is None,
        "settings": asdict(kept),
        "backup": asdict(await backup.last(agent.store)),
        "versions": versions.known(),
    }
