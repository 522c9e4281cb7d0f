"""The holder's own settings, kept in the wallet: for the whole wallet, and for one collective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from wallets.agent.errors import BadData, NotFound
from wallets.agent.ledger import Budgets
from wallets.agent.limits import OwnLimits
from wallets.agent.messages import Memory
from wallets.agent.sandbox.policy import Level
from wallets.agent.vault import Records, WalletStore

RECORD = ("meta", "settings")
MOST_VISITS, MOST_MINUTES = 10_000, 7 * 24 * 60


@dataclass(frozen=True, kw_only=True)
class Settings:
    """`visits_per_day`: accepted tasks per collective and day. `lock_after_minutes`: 0 = never by itself.

    `sandbox`: the lowest level at which tasks may run; `reduced` is the holder's own, shown decision.
    `privacy_micro_job`, `privacy_micro_year`: budgets in millionths of ρ for one job, and over all collectives in a year; 0 = none.
    """

    visits_per_day: int = 100
    lock_after_minutes: int = 0
    sandbox: str = Level.FULL.value
    privacy_micro_job: int = 0
    privacy_micro_year: int = 0

    @property
    def lowest_sandbox(self) -> Level:
        """As the sandbox names it."""
        return Level(self.sandbox)


async def budgets(records: Records) -> Budgets:
    """The holder's own budgets, and those of formal collectives."""
    kept = await load(records)
    return Budgets(job_micro=kept.privacy_micro_job, person_micro=kept.privacy_micro_year)


async def load(records: Records) -> Settings:
    """The kept settings, or the defaults."""
    return Settings(**(await records.get(*RECORD) or {}))


async def save(store: WalletStore, changes: Mapping[str, Any]) -> Settings:
    """Change some settings. Raises BadData; then nothing was changed."""
    async with store.transaction() as records:
        changed = replace(await load(records), **changes)
        _in_range("visits per day", changed.visits_per_day, 0, MOST_VISITS)
        _in_range("minutes until it locks", changed.lock_after_minutes, 0, MOST_MINUTES)
        for what in ("privacy_micro_job", "privacy_micro_year"):
            _in_range(what.replace("_", " "), getattr(changed, what), 0, 2**53)
        if changed.sandbox not in set(Level):
            raise BadData("The sandbox level is full or reduced.")
        await records.put(*RECORD, asdict(changed))
    return changed


async def memory_of(records: Records, collective_id: str) -> Memory:
    """What is remembered about a collective. Raises NotFound without a permit."""
    if await records.get("permit", collective_id) is None:
        raise NotFound("There is no permit for this collective in this wallet.")
    return Memory.from_record(await records.get("memory", collective_id))


async def limit(store: WalletStore, collective_id: str, changes: Mapping[str, int]) -> OwnLimits:
    """Change the holder's limits for one collective; 0 takes a limit away. In force for the very next task."""
    async with store.transaction() as records:
        memory = await memory_of(records, collective_id)
        limits = replace(memory.limits, **changes)
        for name, value in asdict(limits).items():
            _in_range(name.replace("_", " "), value, 0, 2**53)
        await records.put("memory", collective_id, replace(memory, limits=limits).to_record())
    return limits


async def pause(store: WalletStore, collective_id: str, *, paused: bool) -> None:
    """Pause or resume a collective: paused, every task and job is declined with “later”. The permit stays."""
    async with store.transaction() as records:
        memory = await memory_of(records, collective_id)
        await records.put("memory", collective_id, replace(memory, paused=paused).to_record())


def _in_range(what: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise BadData(f"The {what} must be between {least} and {most}.")
