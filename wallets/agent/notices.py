"""Announced changes: the signed notice as this wallet keeps it, what it says in words, and which one a holder means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from collectives.terms.algorithm import Manifest, parse_manifest
from collectives.terms.description import Terms
from collectives.terms.permit import Permit
from wallets.agent import permits
from wallets.agent.errors import NotFound
from wallets.agent.messages import Memory, SeenNotice
from wallets.agent.terminal import when

if TYPE_CHECKING:
    from wallets.agent.agent import WalletAgent
    from wallets.agent.vault import Records

CATEGORY = "notice"
WHO_ORDERS = {
    "owner": "Only the owner of {name} may order a training with it, and gets the model.",
    "approval": "Whoever orders a training with it gets the model; the owner of {name} must agree to each order.",
    "open": "Anybody may order and pay for a training with it, and gets the model.",
}


@dataclass(frozen=True, kw_only=True)
class Announced:
    """One notice of one permit. `runs_from` is unix seconds on our clock; `sentences` come from signed documents."""

    collective_id: str
    name: str
    seen: SeenNotice
    runs_from: int
    sentences: tuple[str, ...]


async def keep(records: Records, collective_id: str, notice_ref: str, envelope: Mapping[str, Any]) -> None:
    """Keep the signed notice itself, so that it can be read again at every later answer."""
    value = {"collective_id": collective_id, "envelope": dict(envelope)}
    await records.put(CATEGORY, _name(collective_id, notice_ref), value)


async def announced(
    records: Records, collective_id: str, stored: Mapping[str, Any], seen: SeenNotice
) -> Announced:
    """A notice with its words; `stored` is the record of the permit it was sent under."""
    kept = await records.get(CATEGORY, _name(collective_id, seen.notice_ref))
    permit = permits.permit_of(stored)
    assert permit is not None
    manifest = parse_manifest(kept["envelope"]["document"]["manifest"]) if kept else None
    terms = Terms.parse(stored["terms"]["document"])
    return Announced(
        collective_id=collective_id,
        name=permit.name,
        seen=seen,
        runs_from=max(seen.effective, seen.first_seen + permit.notice_seconds),
        sentences=sentences(seen, permit, terms, manifest),
    )


async def every(agent: WalletAgent) -> list[Announced]:
    """All notices of all permits, newest first."""
    found = []
    for collective_id, stored in (await agent.store.list("permit")).items():
        memory = Memory.from_record(await agent.store.get("memory", collective_id))
        found += [await announced(agent.store, collective_id, stored, seen) for seen in memory.notices]
    return sorted(found, key=lambda one: (-one.seen.first_seen, one.name, one.seen.notice_ref))


async def named(agent: WalletAgent, wanted: str) -> Announced:
    """The notice a person means by its reference or the beginning of it. Raises NotFound."""
    known = await every(agent)
    exact = [one for one in known if one.seen.notice_ref == wanted]
    begin = exact or [one for one in known if wanted and one.seen.notice_ref.startswith(wanted)]
    if len(begin) != 1:
        many = "More than one notice begins" if begin else "No notice of this wallet begins"
        raise NotFound(f"{many} with “{wanted}”. `notices --all` lists them.", code="no_notice")
    return begin[0]


NO_MODEL = "It learns no model; it counts and averages what it reads, over many wallets."


def sentences(seen: SeenNotice, permit: Permit, terms: Terms, manifest: Manifest | None) -> tuple[str, ...]:
    """What a holder must know to choose. `manifest` is None for a notice an older wallet kept without its document."""
    said = [f"{seen.subject}." if seen.subject[-1:].isalnum() else seen.subject]
    if manifest is not None:
        said.append(f"What it is for: {manifest.purpose}")
    said.append(f"Reason given: {seen.reason}")
    if manifest is not None:
        told = f"It learns to tell: {_titles(terms, manifest.target)}." if manifest.target else NO_MODEL
        said.append(f"It would read: {_titles(terms, manifest.inputs)}. {told}")
    return (
        *said,
        WHO_ORDERS[terms.order_policy].format(name=permit.name),
        f"A model holds sums of at least {permit.release_min} wallets, never your data.",
        f"It does not run in your wallet before {when(max(seen.effective, seen.first_seen + permit.notice_seconds))} UTC.",
        f"If you do not answer, you continue {permit.silence} it.",
        "You can change your answer until that date and after it.",
    )


def _titles(terms: Terms, names: Sequence[str]) -> str:
    fields = terms.requirement["properties"]
    shown = [str(fields.get(name, {}).get("title") or name) for name in names]
    return ", ".join(shown[:12]) + (f" and {len(shown) - 12} more" if len(shown) > 12 else "")


def _name(collective_id: str, notice_ref: str) -> str:
    return f"{collective_id}:{notice_ref}"
