"""Commands about credentials from issuers."""

from __future__ import annotations

import argparse

from wallets.agent import attested, restating, terminal
from wallets.agent.agent import WalletAgent
from wallets.agent.commands import opened

DONE = 0


async def receive(options: argparse.Namespace) -> int:
    """Collect a credential by its link and keep its values."""
    link = attested.OfferLink.parse(options.link)
    async with opened(options) as agent:
        held, added, replaced = await attested.receive(agent, link, replace=options.yes)
        print(f"Received credential {held.name} from {held.claims.issuer}.")
        print(
            f"{len(added)} fields added, {len(replaced)} replaced: {', '.join(sorted(held.claims.record))}."
        )
        await _restate(agent)
    return DONE


async def show(options: argparse.Namespace) -> int:
    """List credentials; with --check look up whether their issuers revoked them."""
    async with opened(options) as agent:
        if options.check:
            for held in await attested.every(agent):
                await attested.check_status(agent, held.name)
        rows = [
            [
                held.name,
                ", ".join(sorted(held.claims.record)),
                held.claims.issuer,
                held.status_at(agent.now()),
                terminal.when(held.checked) if held.checked else "never",
                terminal.when(held.claims.expires),
            ]
            for held in await attested.every(agent)
        ]
        if rows:
            terminal.show(rows, ["credential", "fields", "issuer", "state", "checked", "until"])
        else:
            print("No credentials: all your values are your own word.")
    return DONE


async def forget(options: argparse.Namespace) -> int:
    """Delete a credential; the values stay as your own word."""
    async with opened(options) as agent:
        await attested.delete(agent, options.credential)
        print("Deleted and erased from the wallet's file. The values stay, as your own word.")
    return DONE


async def restate(options: argparse.Namespace) -> int:
    """Prove to your collectives that your changed data is present."""
    async with opened(options) as agent:
        if not await _restate(agent):
            print("Every collective knows the data as it is.")
    return DONE


async def _restate(agent: WalletAgent) -> bool:
    told = await restating.restate_all(agent)
    for name, happened in told.items():
        print(f"{terminal.clean(name)} {terminal.clean(happened)}.".replace("..", "."))
    return bool(told)
