"""What one visit works with: the permit's record, the person's data, and the keys that sign. Read once, erased at the end."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from aggregation.secagg.messages import PresenceReceipt
from aggregation.wire import once, signing
from aggregation.wire.once import Once
from aggregation.wire.secret import Secret
from wallets.agent import permits, presentation
from wallets.agent.credentials import Record
from wallets.agent.errors import NotFound
from wallets.agent.identity import SubscriptionKeys
from wallets.agent.messages import Refusal, Visit
from wallets.agent.vault import Records


@dataclass(frozen=True, kw_only=True)
class Material:
    """`permit`: the stored permit record with terms and commitment. Nothing of this is ever shown in a repr."""

    permit: dict[str, Any] = field(repr=False)
    record: Record = field(repr=False)
    keys: SubscriptionKeys = field(repr=False)
    job_key: Secret
    remembered: Once = field(default=once.always, repr=False)

    @property
    def requirement(self) -> dict[str, Any]:
        """The data requirement the holder agreed to."""
        return permits.requirement_of(self.permit)

    @property
    def missing(self) -> tuple[str, ...]:
        """What the data lacks for the requirement, in words."""
        return missing_for(self.permit, self.record, remembered=self.remembered)

    def receipt(self, visit: Visit, ticket: bytes) -> bytes:
        """The signed presence receipt of a visit: from here on it is owed."""
        return PresenceReceipt.sign(
            self.keys.subscription,
            job=visit.task.job,
            round=visit.task.round,
            collective=visit.task.collective,
            requirement_hash=visit.task.requirement,
            data_commitment=bytes.fromhex(self.permit["commitment"]),
            header_hash=visit.header.hash(),
            job_key=signing.public_key(self.job_key),
            ticket=ticket,
        ).to_bytes()

    def erase(self) -> None:
        """Overwrite the keys."""
        self.job_key.erase()
        self.keys.erase()


def missing_for(permit: dict[str, Any], record: Record, *, remembered: Once = once.always) -> tuple[str, ...]:
    """What a record lacks for a stored permit: by the requirement, and by the commitment made at subscription.

    A visit asks twice, when it is accepted and when it begins; a hash stands for the values, so a remembered answer holds as long as
    the data and the permit are what they were.
    """
    values = sha256(json.dumps(record).encode()).digest()
    asked = permit["permit"]["document"]["requirement_hash"], permit["commitment_seed"], permit["commitment"]
    return remembered(("missing", *asked, values), lambda: _missing_for(permit, record))


def _missing_for(permit: dict[str, Any], record: Record) -> tuple[str, ...]:
    requirement = permits.requirement_of(permit)
    problems = presentation.missing(record, requirement)
    if problems:
        return problems
    seed = bytes.fromhex(permit["commitment_seed"])
    if presentation.present(record, requirement, seed).commitment.hex() != permit["commitment"]:
        return ("your data changed since you subscribed; `restate` proves the new data to this collective",)
    return ()


async def present(records: Records, category: str, name: str) -> dict[str, Any]:
    found = await records.get(category, name)
    if found is None:
        raise NotFound("This subscription has ended.", code=Refusal.NO_PERMIT.value)
    return found
