"""An issuer's public CL keys for proofs that link nothing, vouched for by its did:key. What they sign is in `predicates`."""

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
ATTRIBUTES = ("rule", "count", "expires")
Result = TypeVar("Result")


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
    schema = anoncreds.Schema.create("presence", "1", issuer, list(ATTRIBUTES))
    keys, secret, correct = anoncreds.CredentialDefinition.create(
        schema_id, schema, issuer, "presence", "CL", support_revocation=True
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
    fits = set(schema.get("attrNames", ())) == set(ATTRIBUTES) and "revocation" in keys.get("value", {})
    if keys.get("type") != "CL" or not fits:
        raise AttestationError("malformed", "The issuer's keys are not for statements of presence.")
    return Definition(issuer=issuer, schema=schema, keys=keys, token=token)


def guarded(work: Callable[[], Result]) -> Result:
    """The library's complaint as ours. Raises AttestationError (`malformed`)."""
    try:
        return work()
    except anoncreds.AnoncredsError:
        raise AttestationError("malformed", "The message is not one of this issuer's protocol.") from None


def to_json(value: Mapping[str, Any]) -> str:
    """As the library reads it."""
    return json.dumps(dict(value))
