"""Commands by which the holder draws limits and keeps proof: settings, limits and pauses, consent receipts."""

from __future__ import annotations

import argparse
from decimal import Decimal, InvalidOperation

from wallets.agent import ledger, receipts, settings, terminal
from wallets.agent.commands import named_permit, opened
from wallets.agent.errors import BadData
from wallets.agent.ledger import Ledger
from wallets.agent.limits import MICRO, epsilon_of
from wallets.agent.messages import Memory
from wallets.agent.permits import permit_of

DONE, FAILED = 0, 1


async def change_settings(options: argparse.Namespace) -> int:
    """Show the wallet's settings, or change some."""
    given = {
        "visits_per_day": options.visits_per_day,
        "lock_after_minutes": options.lock_after,
        "sandbox": options.sandbox,
        "privacy_micro_job": _rho(options.privacy_job),
        "privacy_micro_year": _rho(options.privacy_year),
    }
    async with opened(options) as agent:
        kept = await settings.save(agent.store, {k: v for k, v in given.items() if v is not None})
        print(f"Visits per collective and day: at most {kept.visits_per_day}.")
        after = f"after {kept.lock_after_minutes} minutes without you" if kept.lock_after_minutes else "never"
        print(f"Locks by itself: {after}.")
        print(f"Sandbox: tasks run at level {kept.sandbox} or better.")
        spent = Ledger.from_record(await agent.store.get(*ledger.RECORD)).spent(now=agent.now())
        print(f"Privacy spent in the last 365 days: {spent.words()}.")
        for what, most in (("one job", kept.privacy_micro_job), ("all collectives", kept.privacy_micro_year)):
            print(
                f"Privacy budget of {what} in a year: {f'ρ = {Decimal(most) / MICRO}' if most else 'none of yours'}."
            )
        if kept.sandbox == "reduced":
            print("At the reduced level a layer may be missing; a collective that requires full is declined.")
    return DONE


async def limit(options: argparse.Namespace) -> int:
    """Show or change what one collective may ask of this wallet."""
    given = {
        "visits_per_day": options.visits_per_day,
        "visits_total": options.visits_total,
        "privacy_micro": _rho(options.privacy),
        "bucket_min": options.smallest_sum,
        "release_min": options.smallest_release,
    }
    async with opened(options) as agent:
        collective_id = await named_permit(agent, options.collective)
        await settings.limit(agent.store, collective_id, {k: v for k, v in given.items() if v is not None})
        if options.pause or options.resume:
            await settings.pause(agent.store, collective_id, paused=options.pause)
        memory = Memory.from_record(await agent.store.get("memory", collective_id))
        permit = permit_of(await agent.store.get("permit", collective_id))
        assert permit is not None
        print(f"{terminal.clean(permit.name)}{' (paused)' if memory.paused else ''}")
        for sentence in sentences(memory):
            print(f"  • {sentence}")
    return DONE


async def consent_receipts(options: argparse.Namespace) -> int:
    """List the consent receipts, check their signatures, or print them as JSON."""
    async with opened(options) as agent:
        found = await receipts.kept(agent.store)
        if options.format == "json":
            print(receipts.export(found))
        else:
            rows = []
            for receipt in found:
                party, last = receipt.document["party_identification"][0], receipt.document["events"][-1]
                genuine = "yes" if receipt.genuine else "NO"
                rows.append(
                    [party["party_name"], last["event_state"], last["event_time"], last["method"], genuine]
                )
            terminal.show(rows, ["collective", "state", "since", "how", "signature holds"])
        return DONE if all(receipt.genuine for receipt in found) else FAILED


def sentences(memory: Memory) -> list[str]:
    """A collective's limits and what was used of them, in words."""
    limits = memory.limits

    def bound(value: int | float | Decimal) -> str:
        return f"of at most {value}" if value else "without a limit of yours"

    return [
        f"Visits accepted: {memory.visited}, {bound(limits.visits_total)}.",
        f"Visits per day: at most {limits.visits_per_day or 'what you set for the whole wallet'}.",
        (
            f"Privacy spent at most: ρ = {Decimal(memory.spent_micro) / MICRO} "
            f"(ε = {epsilon_of(memory.spent_micro):.1f} at δ = 10⁻⁶), {bound(Decimal(limits.privacy_micro) / MICRO)}."
        ),
        f"Smallest sum: {limits.bucket_min or 'as agreed'}; smallest release: {limits.release_min or 'as agreed'}.",
    ]


def _rho(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(Decimal(text) * MICRO)
    except (InvalidOperation, ValueError, OverflowError):
        raise BadData("The privacy budget is a number, for example 0.5.") from None
