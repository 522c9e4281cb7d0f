"""What each command of the wallet's command line does."""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from collectives.terms.description import tokens
from wallets.agent import (
    consent,
    journal,
    leaving,
    linking,
    locking,
    membership,
    server,
    settings,
    terminal,
    vault,
)
from wallets.agent import earnings as money
from wallets.agent.agent import WalletAgent
from wallets.agent.consent import Consent, Rule
from wallets.agent.errors import BadData, NotFound, SandboxError, WalletError
from wallets.agent.journal import Kind
from wallets.agent.keyfile import SlotKind
from wallets.agent.messages import HolderPolicy
from wallets.agent.permits import permit_of
from wallets.agent.sandbox.launcher import Launcher
from wallets.agent.transport import Transport, check_url

DONE, FAILED = 0, 1
WATCH_SECONDS = 2.0


def _now() -> int:
    return int(time.time())


async def init(options: argparse.Namespace) -> int:
    """Create a wallet and show the recovery code once."""
    passphrase = terminal.passphrase(options.passphrase_file, new=True)
    store, code = await vault.create(options.wallet, rng=secrets.token_bytes, passphrase=passphrase)
    await journal.Journal(store).append(_now(), Kind.CREATED)
    await store.close()
    print(f"Your wallet is in {options.wallet}.")
    print(f"Recovery code (write it down, it is not shown again): {code}")
    return DONE


async def pair(options: argparse.Namespace) -> int:
    """Pair with an account by link, or by address and code."""
    if options.link:
        link = server.parse_link(options.link)
    elif options.url and options.code:
        link = server.PairingLink(url=check_url(options.url), code=options.code.strip())
    else:
        raise BadData("Give the cssi://pair link, or both --url and --code.")
    async with opened(options) as agent:
        label = await membership.pair(agent, link)
        await agent.store.put(*consent.RULE, {"rule": options.rule})
        print(f"Paired with {terminal.clean(label) or 'your account'}. The server's keys are pinned.")
        if not link.pin:
            print(
                f"You typed a code, so compare this with the page: {agent.server.pin[: server.SHOWN_OF_PIN]}"
            )
    return DONE


async def subscribe(options: argparse.Namespace) -> int:
    """Fetch the signed terms, show them, ask, subscribe."""
    async with opened(options, development=options.allow_development) as agent:
        link = linking.parse_subscription(options.collective)
        await linking.know_server(agent, check_url(options.server) if options.server else link.url, link.pin)
        envelope = await agent.transport.call(
            "GET", agent.server.api_url(f"collectives/{link.collective}/terms")
        )
        if options.yes:
            agent.consent = Consent(Rule.ASK, _agree)
        offer = {"collective_id": link.collective, "terms": envelope, "offer_ref": ""}
        offer |= {"valid_seconds": options.days * 24 * 3600} if options.days else {}
        permit = await membership.subscribe(agent, offer, through_pairing=False)
        await agent.flush_outgoing()
        print(
            f"Subscribed to {terminal.clean(permit.name)}. The permit is in your wallet; `revoke` deletes it at any time."
        )
    return DONE


async def run(options: argparse.Namespace) -> int:
    """Connect and answer until interrupted."""
    async with opened(
        options, development=options.allow_development, visits_per_day=options.visits_per_day, observe=True
    ) as agent:
        if not await agent.wire_keys():
            raise NotFound("This wallet is neither paired nor subscribed. Use `pair` or `subscribe` first.")
        await _hold(agent)
        minutes = (await settings.load(agent.store)).lock_after_minutes
        minutes = minutes if options.lock_after is None else options.lock_after
        guard = locking.AutoLock(options.wallet, idle_seconds=minutes * 60)
        guard.begin()
        running = asyncio.ensure_future(agent.run())
        watching = asyncio.ensure_future(_watch(agent, guard))
        agent.spawn(money.keep_asking(agent))
        try:
            await asyncio.wait({running, watching}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (running, watching):
                task.cancel()
            await asyncio.gather(running, watching, return_exceptions=True)
        if not running.cancelled():
            running.result()
        if not watching.cancelled():
            print(f"Locked ({watching.result()}).")
    return DONE


async def _hold(agent: WalletAgent) -> None:
    """Run the quick self-test; SandboxError unless every probe is blocked and the level is one the holder allows."""
    failed = await agent.launcher.got_out()
    missing = ", ".join([*sorted(agent.launcher.missing), *failed])
    if failed or not agent.sandbox_fits("any"):
        raise SandboxError(
            f"The sandbox does not hold on this machine ({missing}), so no task is run. "
            "If only layers are missing you may allow that yourself with `settings --sandbox reduced`.",
            code="sandbox",
        )
    if missing:
        print(f"Sandbox level: reduced (missing: {missing}). You allowed it.")


async def _watch(agent: WalletAgent, guard: locking.AutoLock) -> str:
    """Notice what `subscribe` and `revoke` did in another process; returns why the wallet must be locked."""
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        why = guard.due(time.time())
        if why is not None:
            return why
        await agent.refresh()


async def pages(options: argparse.Namespace) -> int:
    """The wallet's own pages in a browser on this machine, with its agent running while it is unlocked."""
    from wallets.agent.holder import Holder
    from wallets.agent.local_api import LocalPages

    local = LocalPages(Holder(options.wallet, development=options.allow_development))
    print(f"Your wallet's pages: {local.link}")
    print(
        "Only this machine can reach them, and only with this link. Ctrl-C locks the wallet and ends them.",
        flush=True,
    )
    await local.serve()
    return DONE


async def permits(options: argparse.Namespace) -> int:
    """List permits with their last use."""
    async with opened(options) as agent:
        entries = await agent.journal.entries(kinds=[Kind.VISIT])
        rows = []
        for collective_id, record in sorted((await agent.store.list("permit")).items()):
            permit = permit_of(record)
            assert permit is not None
            used = [entry.at for entry in entries if entry.collective_id == collective_id]
            last = terminal.when(max(used)) if used else "never"
            rows.append(
                [
                    permit.name,
                    collective_id,
                    tokens(permit.rate),
                    str(len(used)),
                    last,
                    terminal.when(permit.expires),
                ]
            )
        if rows:
            terminal.show(rows, ["collective", "id", "per visit", "visits", "last visit", "until"])
        else:
            print("No permits: nobody may learn from your data.")
    return DONE


async def revoke(options: argparse.Namespace) -> int:
    """Delete a permit now and say exactly what happened."""
    async with opened(options) as agent:
        collective_id = await named_permit(agent, options.collective)
        result = await leaving.revoke(agent, collective_id)
        print(
            f"The permit for {terminal.clean(result.name)} was deleted in {result.milliseconds:.0f} ms. It gets nothing from now on."
        )
        if result.erased:
            print("Its keys were erased from the wallet's file.")
        else:
            print("Another process uses this wallet; the erased keys are overwritten when it ends.")
        if result.servers_told:
            print("The servers were told and confirmed it.")
        else:
            print(
                "The servers could not be reached. They will be told at the next contact; the permit is gone already."
            )
    return DONE


async def visits(options: argparse.Namespace) -> int:
    """Show or export the journal and check its chain."""
    async with opened(options) as agent:
        entries = await agent.journal.entries(kinds=options.kind, collective_id=options.collective)
        if options.format == "json":
            print(journal.export_json(entries))
        elif options.format == "csv":
            print(journal.export_csv(entries), end="")
        else:
            rows = [
                [
                    terminal.when(e.at),
                    e.kind,
                    str(e.round or ""),
                    e.code,
                    tokens(int(e.amount)) if e.amount != "0" else "",
                    e.sentence,
                ]
                for e in entries
            ]
            terminal.show(rows, ["time (UTC)", "what", "round", "code", "owed", ""])
        broken = await agent.journal.verify()
        if broken is not None:
            raise WalletError(
                f"The journal was changed at entry {broken}: its hash chain does not hold.", code="journal"
            )
    return DONE


async def earnings(options: argparse.Namespace) -> int:
    """What the journal says is owed, what the market said per payout address, and its word on one of them now."""
    async with opened(options) as agent:
        entries = await agent.journal.entries(kinds=[Kind.VISIT])
        print(
            f"By your own journal: {len(entries)} visits, {tokens(sum(int(e.amount) for e in entries))} tokens."
        )
        known = await money.lines(agent)
        asked = known if options.all else [await money.next_to_ask(agent, options.of)] if known else []
        try:
            for line in () if options.kept else asked:
                await money.ask(agent, line)
        finally:
            _show_earnings(await money.lines(agent), sum(int(entry.amount) for entry in entries))
        if len(known) > 1 and not options.all and not options.kept:
            print(
                f"Only {asked[0].address} was asked about now: together they would tell a reader of the server's log that "
                "they are one person's. `run` asks about the others by and by."
            )
    return DONE


def _show_earnings(lines: list[money.Line], earned: int) -> None:
    if not lines:
        return
    told = [line.told for line in lines if line.told]
    available, paid = sum(one.pending for one in told), sum(one.paid for one in told)
    print(
        f"Pending (in no payment yet): {tokens(max(0, earned - available - paid))}. Available (on its way to your addresses): "
        f"{tokens(available)}. Paid: {tokens(paid)}."
    )
    rows = [
        [
            line.name,
            line.address,
            tokens(line.told.pending) if line.told else "?",
            tokens(line.told.paid) if line.told else "?",
            terminal.when(line.told.asked) if line.told else "not asked yet",
        ]
        for line in lines
    ]
    terminal.show(rows, ["collective", "address", "available", "paid", "as of (UTC)"])
    newest = max((line.told for line in lines if line.told), key=lambda told: told.asked, default=None)
    if newest is not None and newest.note:
        print(terminal.clean(newest.note))
    if newest is not None and newest.next_epoch is not None:
        print(f"Next payment: {terminal.when(newest.next_epoch)} UTC.")


async def selftest(options: argparse.Namespace) -> int:
    """Try every way out of the sandbox and print what stopped it."""
    launcher = Launcher()
    try:
        results = await launcher.self_test()
    finally:
        await launcher.close()
    terminal.show(
        [[r.name, "blocked" if r.blocked else "ESCAPED", r.how] for r in results], ["probe", "result", "by"]
    )
    print(f"Layers: {', '.join(sorted(launcher.layers))}.")
    print(f"Level: {launcher.level}.")
    if launcher.missing:
        print(f"Missing layers: {', '.join(sorted(launcher.missing))}.")
    return DONE if all(r.blocked for r in results) and not launcher.missing else FAILED


@asynccontextmanager
async def opened(
    options: argparse.Namespace,
    *,
    development: bool = False,
    visits_per_day: int | None = None,
    observe: bool = False,
) -> AsyncIterator[WalletAgent]:
    """Unlock the wallet and build its agent; everything is closed again afterwards."""
    secret = terminal.passphrase(options.passphrase_file)
    store = await vault.open_with(options.wallet, SlotKind.PASSPHRASE, secret, now=_now())
    locking.touch(options.wallet)
    transport, launcher = Transport(), Launcher()
    stored, kept = await store.get(*consent.RULE), await settings.load(store)
    per_day = kept.visits_per_day if visits_per_day is None else visits_per_day
    agent = WalletAgent(
        name=options.wallet.name,
        store=store,
        transport=transport,
        launcher=launcher,
        consent=Consent(Rule(stored["rule"]) if stored else Rule.ASK, terminal.ask),
        now=_now,
        rng=secrets.token_bytes,
        policy=HolderPolicy(allow_development=development, visits_per_day=per_day),
        observer=_print_event if observe else None,
        lowest_sandbox=kept.lowest_sandbox,
    )
    try:
        await agent.load()
        yield agent
    finally:
        await agent.stop()
        await launcher.close()
        await transport.close()
        await store.close()


async def named_permit(agent: WalletAgent, wanted: str) -> str:
    """The id of the collective a person named by id or by name. Raises NotFound."""
    held = await agent.store.list("permit")
    if wanted in held:
        return wanted
    matching = [
        cid for cid, record in held.items() if record["permit"]["document"]["name"].lower() == wanted.lower()
    ]
    if len(matching) == 1:
        return matching[0]
    raise NotFound(f"There is no single permit for “{wanted}” in this wallet. `permits` lists them.")


async def _agree(question: consent.Question) -> str:
    terminal.present(question)
    return "subscribe"


def _print_event(wallet: str, name: str, what: dict[str, Any]) -> None:
    if name not in {"step"}:
        print(json.dumps({"at": _now(), "event": name, **what}), flush=True)
