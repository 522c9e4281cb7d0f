"""Presence without linking: AnonCreds predicates (AnonCreds specification v1.0; CL signatures) in one closed form.

One credential per field: `rule` (the rule its value meets, see `facts`), `count` (items in the value, 1 for a single one), `expires`
(unix seconds). A proof reveals the rule, which is the same for everybody who meets it, and shows count ≥ n and expires ≥ a day. It
holds no value, no signature and no key that comes again, so two collectives, or a collective and the issuer, cannot tell whose it is.

A proof shows too that the credential was not revoked (`registry`), and names no place. Proving and verifying cost tenths of a second,
so a proof is made at subscription and when data changes, never per visit.

The issuer's CL keys are vouched for by its did:key (`definition`). What the library leaves open is decided here: the encoding of the
revealed rule, one credential for all parts, nothing self-attested, and above all **the bounds**: `Presentation.verify` of anoncreds
0.2.3 accepts a proof of count ≥ 5 for a request of count ≥ 100 (a test shows it), so the bounds inside the proof are compared here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import anoncreds

from aggregation.wire.secret import Secret
from attestation.formats import jws
from attestation.formats import registry as registries
from attestation.formats.definition import Definition, guarded, to_json
from attestation.formats.errors import AttestationError
from attestation.formats.registry import Registry, Revocations

LARGEST = 64 * 1024
LONGEST = 90 * 24 * 3600
DAY = 24 * 3600


# --- issuing: offer (issuer) → request (wallet) → credential (issuer) → received (wallet) ------------------------------------------


def offer(definition: Definition, kept: Mapping[str, Any]) -> dict[str, Any]:
    correctness = to_json(kept["correctness"])
    return dict(anoncreds.CredentialOffer.create(definition.schema_id, definition.id, correctness).to_dict())


def new_link_secret() -> Secret:
    """The wallet's own secret in all its credentials of this kind; never leaves it, also not to an issuer."""
    return Secret(anoncreds.create_link_secret().encode())


def request(
    definition: Definition, offered: Mapping[str, Any], link_secret: Secret, entropy: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what goes to the issuer, what the wallet keeps until the credential comes)."""
    return guarded(lambda: _request(definition, offered, link_secret, entropy))


def issue(
    definition: Definition,
    kept: Mapping[str, Any],
    *,
    offered: Mapping[str, Any],
    requested: Mapping[str, Any],
    rule: str,
    count: int,
    expires: int,
    registry: Registry,
    registry_kept: Mapping[str, Any],
    place: int,
    now: int,
) -> dict[str, Any]:
    """The issuer's signature over one fact, at a place of a registry (1 to its size - 1), by which it can be revoked.

    Raises AttestationError (`malformed`) for a longer life than `LONGEST` or a place that is none.
    """
    if not now < expires <= now + LONGEST:
        raise AttestationError("malformed", f"Such a credential is valid for at most {LONGEST // DAY} days.")
    if not 1 <= place < registry.size:
        raise AttestationError("malformed", "There is no such place in the registry.")
    values = {"rule": rule, "count": str(count), "expires": str(expires)}

    def work() -> dict[str, Any]:
        revocable = anoncreds.CredentialRevocationConfig(
            to_json(registry.value),
            to_json(registry_kept),
            registries.fresh_list(definition, registry, registry_kept, now),
            place,
        )
        return dict(
            anoncreds.Credential.create(
                to_json(definition.keys),
                to_json(kept["private"]),
                to_json(offered),
                to_json(requested),
                values,
                None,
                revocable,
            ).to_dict()
        )

    return guarded(work)


def receive(
    definition: Definition,
    credential: Mapping[str, Any],
    metadata: Mapping[str, Any],
    link_secret: Secret,
    registry: Registry,
) -> dict[str, Any]:
    """The finished credential, for the wallet to keep; its signature is checked on the way, and that its place is in this registry."""
    if credential.get("rev_reg_id") != registry.id:
        raise AttestationError("malformed", "The credential belongs to another registry.")
    return guarded(
        lambda: dict(
            anoncreds.Credential.load(to_json(credential))
            .process(
                to_json(metadata),
                link_secret.reveal().decode(),
                to_json(definition.keys),
                to_json(registry.value),
            )
            .to_dict()
        )
    )


def place_of(credential: Mapping[str, Any]) -> int:
    """Where the credential stands in its registry."""
    return int(guarded(lambda: anoncreds.Credential.load(to_json(credential)).rev_reg_index))


# --- proving -----------------------------------------------------------------------------------------------------------------------


def prove(
    definition: Definition,
    credential: Mapping[str, Any],
    link_secret: Secret,
    *,
    registry: Registry,
    listed: Revocations,
    tails: bytes,
    least: int,
    created: int,
    nonce: str,
) -> str:
    """A proof, JSON, for one statement (`nonce` is `facts.nonce` of it), against a list of what is revoked.

    Raises:
        AttestationError: `revoked`; `malformed` for what cannot be proven.
    """
    place = place_of(credential)
    if not 1 <= place < registry.size:
        raise AttestationError("malformed", "There is no such place in the registry.")
    if listed.revoked(place):
        raise AttestationError(
            "revoked", "The issuer has revoked this credential. Ask the issuer for a new one."
        )
    state = registries.witness(registry, listed, place, tails)

    def work() -> str:
        shown = anoncreds.PresentCredentials()
        held = anoncreds.Credential.load(to_json(credential))
        shown.add_attributes(held, "rule", reveal=True, timestamp=listed.timestamp, rev_state=state)
        shown.add_predicates(held, "count", "expires", timestamp=listed.timestamp, rev_state=state)
        return str(
            anoncreds.Presentation.create(
                _asked(definition, listed, least, created, nonce),
                shown,
                None,
                link_secret.reveal().decode(),
                {definition.schema_id: to_json(definition.schema)},
                {definition.id: to_json(definition.keys)},
            ).to_json()
        )

    return guarded(work)


def verify(
    text: str,
    *,
    definition: Definition,
    registry: Registry,
    listed: Revocations,
    rule: str,
    least: int,
    created: int,
    nonce: str,
) -> None:
    """Check a proof: this issuer's keys, this rule, count ≥ least, not expired on that day, not in this list, made for this statement.

    Raises:
        AttestationError: `malformed`, also for another list; `fact_missing` for another rule, day or count; `bad_signature` for anything
            that does not verify (another statement, another issuer's keys, a revoked credential).
    """
    if not isinstance(text, str) or len(text) > LARGEST:
        raise AttestationError("malformed", f"A proof has at most {LARGEST // 1024} KiB.")
    proof = jws.parse(text.encode("utf-8", "replace"))
    _check_form(proof, definition, registry, listed, rule)
    _check_bounds(proof, rule, least, created)

    def work() -> bool:
        return bool(
            anoncreds.Presentation.load(text).verify(
                _asked(definition, listed, least, created, nonce),
                {definition.schema_id: to_json(definition.schema)},
                {definition.id: to_json(definition.keys)},
                {registry.id: to_json(registry.value)},
                [to_json(listed.value)],
            )
        )

    if not guarded(work):
        raise AttestationError("bad_signature", "The proof does not hold for this statement.")


def _asked(definition: Definition, listed: Revocations, least: int, created: int, nonce: str) -> Any:
    """The request both sides build for themselves. The day is coarse, so that it tells nobody apart."""
    only = [{"cred_def_id": definition.id}]
    predicates = _bounds(least, created)
    return anoncreds.PresentationRequest.load(
        {
            "name": "presence",
            "version": "1.0",
            "nonce": str(int(nonce[:20], 16)),
            "requested_attributes": {"rule": {"name": "rule", "restrictions": only}},
            "requested_predicates": {
                name: {"name": name, "p_type": ">=", "p_value": value, "restrictions": only}
                for name, value in predicates.items()
            },
            "non_revoked": {"from": listed.timestamp, "to": listed.timestamp},
        }
    )


def _bounds(least: int, created: int) -> dict[str, int]:
    return {"count": least, "expires": created - created % DAY}


def _check_bounds(proof: Mapping[str, Any], rule: str, least: int, created: int) -> None:
    """What the proof itself says it proves must be what is asked; that it does prove it is the library's arithmetic."""
    try:
        (part,) = proof["proof"]["proofs"]
        primary = part["primary_proof"]
        proven = [one["predicate"] for one in primary["ge_proofs"]]
        revealed, held = primary["eq_proof"]["revealed_attrs"], part["non_revoc_proof"]
    except (KeyError, TypeError, ValueError):
        raise AttestationError("malformed", "The proof has not the agreed form.") from None
    asked = _bounds(least, created)
    wanted = [{"attr_name": name, "p_type": "GE", "value": value} for name, value in sorted(asked.items())]
    if not isinstance(held, dict) or revealed != {"rule": _encoded(rule)}:
        raise AttestationError("malformed", "The proof shows other things than were asked for.")
    if sorted(proven, key=lambda one: str(one.get("attr_name"))) != wanted:
        raise AttestationError(
            "fact_missing", "The proof shows less, or for another day, than the requirement asks."
        )


def _encoded(rule: str) -> str:
    """The number AnonCreds signs for a text: SHA-256, big endian, in decimal."""
    return str(int.from_bytes(hashlib.sha256(rule.encode()).digest(), "big"))


def _check_form(
    proof: Mapping[str, Any], definition: Definition, registry: Registry, listed: Revocations, rule: str
) -> None:
    """What the library would let pass: an encoding that is not the revealed rule's, parts from other credentials, own words."""
    shown = proof.get("requested_proof")
    one = [
        {
            "schema_id": definition.schema_id,
            "cred_def_id": definition.id,
            "rev_reg_id": registry.id,
            "timestamp": listed.timestamp,
        }
    ]
    if not isinstance(shown, dict) or proof.get("identifiers") != one:
        raise AttestationError(
            "malformed", "The proof is not from one credential of the named issuer, or about another list."
        )
    expected = {
        "self_attested_attrs": {},
        "unrevealed_attrs": {},
        "predicates": {"count": {"sub_proof_index": 0}, "expires": {"sub_proof_index": 0}},
    }
    if {name: part for name, part in shown.items() if name != "revealed_attrs"} != expected:
        raise AttestationError("malformed", "The proof shows other things than were asked for.")
    revealed = {"rule": {"sub_proof_index": 0, "raw": rule, "encoded": _encoded(rule)}}
    if shown.get("revealed_attrs") != revealed:
        raise AttestationError("fact_missing", "The proof is about another rule than the requirement's.")


def _request(
    definition: Definition, offered: Mapping[str, Any], link_secret: Secret, entropy: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    made, metadata = anoncreds.CredentialRequest.create(
        entropy, None, to_json(definition.keys), link_secret.reveal().decode(), "presence", to_json(offered)
    )
    return dict(made.to_dict()), dict(metadata.to_dict())
