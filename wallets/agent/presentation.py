"""Proof that required data is present. Level now: declared; the attested levels will answer the same two questions.

Declared: a signed statement over the requirement hash and a salted Merkle commitment to the record. The commitment stays
the same for every receipt of a subscription, so a wallet cannot show different data to different rounds; its salt is fresh
per subscription, so two collectives cannot recognise the same record.

Leaf i = SHA-256-HMAC(seed, "cssi/v1/record" ‖ i) ‖ RFC 8785(record i); tree as in RFC 6962.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import rfc8785

from aggregation.wire import merkle
from collectives.terms.requirements import validate
from wallets.agent.credentials import Record, project


class Level(StrEnum):
    """How far a presence proof goes."""

    DECLARED = "declared"
    ATTESTED = "attested"


@dataclass(frozen=True, kw_only=True)
class Presence:
    """What a subscription states about the data. `commitment` is 32 bytes."""

    level: Level
    commitment: bytes
    record_count: int

    def to_document(self) -> dict[str, Any]:
        """The `presence` part of a subscription document."""
        return {
            "level": self.level.value,
            "commitment": self.commitment.hex(),
            "record_count": self.record_count,
        }


def present(record: Record, requirement: Mapping[str, Any], seed: bytes) -> Presence:
    """Commit to the part of the record that the requirement asks for."""
    return Presence(
        level=Level.DECLARED, commitment=commitment([project(record, requirement)], seed), record_count=1
    )


def commitment(records: Sequence[Record], seed: bytes) -> bytes:
    """Root of the salted Merkle tree over records, 32 bytes."""
    leaves = []
    for index, record in enumerate(records):
        salt = hmac.digest(seed, b"cssi/v1/record" + index.to_bytes(4, "big"), "sha256")
        leaves.append(salt + rfc8785.dumps(record))
    return merkle.root(leaves)


def missing(record: Record, requirement: Mapping[str, Any]) -> tuple[str, ...]:
    """What the record still lacks for a requirement, in words; empty when it is met."""
    return tuple(str(problem) for problem in validate(requirement, project(record, requirement)))
