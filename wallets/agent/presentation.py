"""Proof that required data is present, at the level each field asks for.

Declared: a signed statement over the requirement hash and a salted Merkle commitment to the record. The commitment stays
the same for every receipt of a subscription, so a wallet cannot show different data to different rounds; its salt is fresh
per subscription, so two collectives cannot recognise the same record.

Attested: besides, for each field that names issuers, a presentation of a credential (`attested`), bound to exactly this statement.

Leaf i = SHA-256-HMAC(seed, "cssi/v1/record" ‖ i) ‖ RFC 8785(record i); tree as in RFC 6962.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import rfc8785

from aggregation.wire import merkle
from attestation.formats import facts
from collectives.terms.requirements import requirement_hash, validate
from wallets.agent import attested, credentials, unlinkable
from wallets.agent.credentials import Record, project
from wallets.agent.errors import BadData, WalletError

if TYPE_CHECKING:
    from wallets.agent.agent import WalletAgent


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
    attestations: tuple[str, ...] = ()

    def to_document(self) -> dict[str, Any]:
        """The `presence` part of a subscription document."""
        document: dict[str, Any] = {
            "level": self.level.value,
            "commitment": self.commitment.hex(),
            "record_count": self.record_count,
        }
        if self.level is Level.ATTESTED:
            document["attestations"] = list(self.attestations)
        return document


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
    """What the values alone still lack, in words; empty when they meet the requirement. To a holder `lacking` is shown."""
    return tuple(str(problem) for problem in validate(requirement, project(record, requirement)))


async def prove(
    agent: WalletAgent,
    requirement: Mapping[str, Any],
    *,
    collective_id: str,
    subscription_key: bytes,
    seed: bytes,
    created: int,
) -> Presence:
    """The statement for one subscription key at one time, with presentations where the requirement asks for an issuer's word.

    Raises:
        BadData: `data_missing`, saying what is lacking.
        WalletError: `revoked`, or `status_unknown` to try again, for proofs that link nothing.
    """
    record = await credentials.load(agent.store)
    plain = present(record, requirement, seed)
    if not asks_issuers(requirement):
        return plain
    held = await attested.every(agent)
    chosen, lacking = attested.choose(requirement, record, held, created)
    apart, more = attested.choose(requirement, record, held, created, "unlinkable")
    if lacking or more:
        raise BadData(
            f"Your data does not meet the requirement yet: {'; '.join([*lacking, *more])}.",
            code="data_missing",
        )
    occasion = facts.nonce(
        collective_id=collective_id,
        requirement_hash=requirement_hash(requirement),
        subscription_key=subscription_key.hex(),
        commitment=plain.commitment.hex(),
        created=created,
    )
    shown = attested.presentations(chosen, collective_id=collective_id, nonce=occasion, now=created)
    kept = {name: one.unlinkable for name, one in apart.items()}
    try:
        proven = await unlinkable.prove(agent, kept, requirement, created, occasion)
    except WalletError as error:
        if error.code == "revoked":
            for name in {one.name for one in apart.values()}:
                await attested.check_status(agent, name)  # so that the holder sees which
        raise
    return replace(plain, level=Level.ATTESTED, attestations=(*shown, *proven))


def asks_issuers(requirement: Mapping[str, Any]) -> bool:
    """Whether any field needs more than the holder's word."""
    return any(
        spec.get("x-assurance", "declared") != "declared" for spec in requirement["properties"].values()
    )


async def lacking(agent: WalletAgent, record: Record, requirement: Mapping[str, Any]) -> tuple[str, ...]:
    """What is missing, credentials included, in words; empty when a subscription can be signed. Pages, commands and subscribing ask this."""
    problems = missing(record, requirement)
    if problems or not asks_issuers(requirement):
        return problems
    held, now = await attested.every(agent), agent.now()
    return tuple(
        sentence
        for level in ("attested", "unlinkable")
        for sentence in attested.choose(requirement, record, held, now, level)[1]
    )
