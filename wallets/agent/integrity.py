"""Is everything in the wallet still what the wallet wrote? Every record is read; what is signed or chained is verified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aries_askar import AskarError

from collectives.terms.envelope import SignedDocument
from collectives.terms.errors import TermsError
from collectives.terms.permit import Permit
from wallets.agent import receipts
from wallets.agent.errors import StoreError

if TYPE_CHECKING:
    from wallets.agent.agent import WalletAgent


@dataclass(frozen=True, kw_only=True)
class Integrity:
    """`records`: how many could be read. `problems`: what does not hold, in words; empty when everything does."""

    records: int
    problems: tuple[str, ...]


async def check(agent: WalletAgent) -> Integrity:
    """Read and verify everything; changes nothing."""
    try:
        everything = await agent.store.everything()
    except (AskarError, StoreError, ValueError):
        return Integrity(records=0, problems=("A record cannot be read. Restore the latest backup.",))
    problems = []
    broken = await agent.journal.verify()
    if broken is not None:
        problems.append(f"The journal was changed at entry {broken}.")
    forged = sum(not receipts.genuine(kept) for kept in everything.get(receipts.CATEGORY, {}).values())
    if forged:
        problems.append(f"{forged} consent receipts were changed: their signatures do not hold.")
    for collective_id, stored in everything.get("permit", {}).items():
        try:
            signed = SignedDocument.from_json(stored["permit"])
            key = str(stored["terms"]["document"]["collective_key"])
            Permit.parse(signed.open("permit", key))
            SignedDocument.from_json(stored["terms"]).open("terms", key)
        except (TermsError, KeyError, TypeError):
            problems.append(
                f"The permit of {collective_id} was changed: its signature does not hold. Delete it."
            )
    return Integrity(records=sum(len(named) for named in everything.values()), problems=tuple(problems))
