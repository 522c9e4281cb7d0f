"""Presence without linking: AnonCreds predicates (AnonCreds specification v1.0; CL signatures) in one closed form.

One credential per field: `rule` (the rule its value meets, see `facts`), `count` (items in the value, 1 for a single one), `expires`
(unix seconds). A proof reveals the rule, which is the same for everybody who meets it, and shows count ≥ n and expires ≥ a day. It
holds no value, no signature and no key that comes again, so two collectives, or a collective and the issuer, cannot tell whose it is.

There is no revocation registry: it would make every proof several times as large. Credentials of this kind are short-lived instead
(`LONGEST`). Proving and verifying cost tenths of a second, so a proof is made at subscription and when data changes, never per visit.

The issuer's CL keys are vouched for by its did:key (`definition`). What the library leaves open is decided here: the encoding of the
revealed rule, one credential for all parts, nothing self-attested, and above all **the bounds**: `Presentation.verify` of anoncreds
0.2.3 accepts a proof of count ≥ 5 for a request of count ≥ 100 (a test shows it), so the bounds inside the proof are compared here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import anoncreds

from aggregation.wire import signing
from aggregation.wire.secret import Secret
from attestation.formats import jws
from attestation.formats.did_key import did_of, key_of
from attestation.formats.errors import AttestationError

TYP = "anoncreds-definition+jwt"
LARGEST = 64 * 1024
LONGEST = 90 * 24 * 3600
DAY = 24 * 3600
Result = TypeVar("Result")
_ATTRIBUTES = ("rule", "count", "expires")


@dataclass(frozen=True, kw_only=True)
class Definition:
    """An issuer's public CL keys, vouched for by its did:key. `token` is what travels."""

    issuer: str
    schema: Mapping[str, Any] = field(repr=False)
    keys: Mapping[str, Any] = field(repr=False)
    token: str = field(repr=False)

    @property
    def schema_id(self) -> str:
        return f"{self.issuer}/presence/1"

    @property
    def id(self) -> str:
        """Of this very set of keys: another set of the same issuer has another id."""
        return f"{self.schema_id}/{hashlib.sha256(self.token.encode()).hexdigest()[:16]}"


def make_definition(private: Secret) -> tuple[Definition, dict[str, Any]]:
    """Fresh CL keys: (what is published, what the issuer keeps sealed). Takes tens of seconds: safe primes are searched for."""
    issuer = did_of(signing.public_key(private))
    schema_id = f"{issuer}/presence/1"
    schema = anoncreds.Schema.create("presence", "1", issuer, list(_ATTRIBUTES))
    keys, secret, correct = anoncreds.CredentialDefinition.create(
        schema_id, schema, issuer, "presence", "CL", support_revocation=False
    )
    said = {"iss": issuer, "schema": schema.to_dict(), "cred_def": keys.to_dict()}
    made = open_definition(jws.sign(private, {"typ": TYP}, said), issuers=[issuer])
    return made, {"private": secret.to_dict(), "correctness": correct.to_dict()}


def open_definition(token: str, *, issuers: Collection[str]) -> Definition:
    """Raises:
    AttestationError: `untrusted_issuer`, `bad_signature`, `malformed`.
    """
    if len(token) > LARGEST:
        raise AttestationError("malformed", "The issuer's keys are larger than agreed.")
    issuer = jws.peek(token, TYP).get("iss")
    if not isinstance(issuer, str) or issuer not in issuers:
        raise AttestationError("untrusted_issuer", "The keys are of an issuer that is not trusted here.")
    said = jws.verify(token, key_of(issuer), TYP)
    schema, keys = said.get("schema"), said.get("cred_def")
    if not isinstance(schema, dict) or not isinstance(keys, dict):
        raise AttestationError("malformed", "The issuer's keys are not for statements of presence.")
    fits = set(schema.get("attrNames", ())) == set(_ATTRIBUTES) and "revocation" not in keys.get("value", {})
    if keys.get("type") != "CL" or not fits:
        raise AttestationError("malformed", "The issuer's keys are not for statements of presence.")
    return Definition(issuer=issuer, schema=schema, keys=keys, token=token)


# --- issuing: offer (issuer) → request (wallet) → credential (issuer) → received (wallet) ------------------------------------------


def offer(definition: Definition, kept: Mapping[str, Any]) -> dict[str, Any]:
    made = anoncreds.CredentialOffer.create(
        definition.schema_id, definition.id, json.dumps(kept["correctness"])
    )
    return dict(made.to_dict())


def new_link_secret() -> Secret:
    """The wallet's own secret in all its credentials of this kind; never leaves it, also not to an issuer."""
    return Secret(anoncreds.create_link_secret().encode())


def request(
    definition: Definition, offered: Mapping[str, Any], link_secret: Secret, entropy: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what goes to the issuer, what the wallet keeps until the credential comes)."""
    return _guarded(lambda: _request(definition, offered, link_secret, entropy))


def issue(
    definition: Definition,
    kept: Mapping[str, Any],
    *,
    offered: Mapping[str, Any],
    requested: Mapping[str, Any],
    rule: str,
    count: int,
    expires: int,
    now: int,
) -> dict[str, Any]:
    """The issuer's signature over one fact. Raises AttestationError (`malformed`) for a longer life than `LONGEST`."""
    if not now < expires <= now + LONGEST:
        raise AttestationError("malformed", f"Such a credential is valid for at most {LONGEST // DAY} days.")
    values = {"rule": rule, "count": str(count), "expires": str(expires)}
    return _guarded(
        lambda: dict(
            anoncreds.Credential.create(
                _json(definition.keys),
                _json(kept["private"]),
                _json(offered),
                _json(requested),
                values,
            ).to_dict()
        )
    )


def receive(
    definition: Definition, credential: Mapping[str, Any], metadata: Mapping[str, Any], link_secret: Secret
) -> dict[str, Any]:
    """The finished credential, for the wallet to keep; its signature is checked on the way."""
    return _guarded(
        lambda: dict(
            anoncreds.Credential.load(_json(credential))
            .process(_json(metadata), link_secret.reveal().decode(), _json(definition.keys))
            .to_dict()
        )
    )


# --- proving -----------------------------------------------------------------------------------------------------------------------


def prove(
    definition: Definition,
    credential: Mapping[str, Any],
    link_secret: Secret,
    *,
    least: int,
    created: int,
    nonce: str,
) -> str:
    """A proof, JSON, for one statement (`nonce` is `facts.nonce` of it)."""

    def work() -> str:
        shown = anoncreds.PresentCredentials()
        held = anoncreds.Credential.load(_json(credential))
        shown.add_attributes(held, "rule", reveal=True)
        shown.add_predicates(held, "count", "expires")
        return str(
            anoncreds.Presentation.create(
                _asked(definition, least, created, nonce),
                shown,
                None,
                link_secret.reveal().decode(),
                {definition.schema_id: _json(definition.schema)},
                {definition.id: _json(definition.keys)},
            ).to_json()
        )

    return _guarded(work)


def verify(text: str, *, definition: Definition, rule: str, least: int, created: int, nonce: str) -> None:
    """Check a proof: this issuer's keys, this rule, count ≥ least, not expired on that day, made for this statement.

    Raises:
        AttestationError: `malformed`, `fact_missing` for another rule, `bad_signature` for anything that does not verify
            (another statement, another day, too few, another issuer's keys).
    """
    if not isinstance(text, str) or len(text) > LARGEST:
        raise AttestationError("malformed", f"A proof has at most {LARGEST // 1024} KiB.")
    proof = jws.parse(text.encode("utf-8", "replace"))
    _check_form(proof, definition, rule)
    _check_bounds(proof, rule, least, created)

    def work() -> bool:
        return bool(
            anoncreds.Presentation.load(text).verify(
                _asked(definition, least, created, nonce),
                {definition.schema_id: _json(definition.schema)},
                {definition.id: _json(definition.keys)},
            )
        )

    if not _guarded(work):
        raise AttestationError("bad_signature", "The proof does not hold for this statement.")


def _asked(definition: Definition, least: int, created: int, nonce: str) -> Any:
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
        revealed, other = primary["eq_proof"]["revealed_attrs"], part["non_revoc_proof"]
    except (KeyError, TypeError, ValueError):
        raise AttestationError("malformed", "The proof has not the agreed form.") from None
    asked = _bounds(least, created)
    wanted = [{"attr_name": name, "p_type": "GE", "value": value} for name, value in sorted(asked.items())]
    if other is not None or revealed != {"rule": _encoded(rule)}:
        raise AttestationError("malformed", "The proof shows other things than were asked for.")
    if sorted(proven, key=lambda one: str(one.get("attr_name"))) != wanted:
        raise AttestationError(
            "fact_missing", "The proof shows less, or for another day, than the requirement asks."
        )


def _encoded(rule: str) -> str:
    """The number AnonCreds signs for a text: SHA-256, big endian, in decimal."""
    return str(int.from_bytes(hashlib.sha256(rule.encode()).digest(), "big"))


def _check_form(proof: Mapping[str, Any], definition: Definition, rule: str) -> None:
    """What the library would let pass: an encoding that is not the revealed rule's, parts from other credentials, own words."""
    shown = proof.get("requested_proof")
    one = [
        {
            "schema_id": definition.schema_id,
            "cred_def_id": definition.id,
            "rev_reg_id": None,
            "timestamp": None,
        }
    ]
    if not isinstance(shown, dict) or proof.get("identifiers") != one:
        raise AttestationError("malformed", "The proof is not from one credential of the named issuer.")
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
        entropy, None, _json(definition.keys), link_secret.reveal().decode(), "presence", _json(offered)
    )
    return dict(made.to_dict()), dict(metadata.to_dict())


def _guarded(work: Callable[[], Result]) -> Result:
    try:
        return work()
    except anoncreds.AnoncredsError:
        raise AttestationError("malformed", "The message is not one of this issuer's protocol.") from None


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(dict(value))
