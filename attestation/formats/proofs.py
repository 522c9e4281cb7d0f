"""Proofs that link nothing, as they travel in a statement of presence: `{"field", "definition", "registry", "list", "proof"}` as JSON text.

The list is the issuer's, signed, so that nobody needs to ask the issuer who verifies a proof.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from attestation.formats import jws, predicates
from attestation.formats.definition import Definition, open_definition
from attestation.formats.errors import AttestationError
from attestation.formats.facts import rule_id
from attestation.formats.registry import Registry, Revocations, open_list, open_registry

PARTS = frozenset({"field", "definition", "registry", "list", "proof"})


def is_proof(text: str) -> bool:
    """Whether an attestation is one of these (the others are SD-JWT presentations, which begin with a token)."""
    return text.startswith("{")


def pack(field: str, definition: Definition, registry: Registry, listed: Revocations, proof: str) -> str:
    tokens = {"definition": definition.token, "registry": registry.token, "list": listed.token}
    return json.dumps({"field": field, **tokens, "proof": proof})


def check(
    texts: Sequence[str],
    asked: Mapping[str, Sequence[str]],
    requirement: Mapping[str, Any],
    created: int,
    nonce: str,
    now: int,
) -> None:
    """One good proof for each asked field, and none besides. `asked`: field -> issuers trusted for it.

    Raises:
        AttestationError: names what is wrong; `status_unknown` when the list is older than it may be.
    """
    given: dict[str, dict[str, Any]] = {}
    for text in texts:
        body = jws.parse(text.encode("utf-8", "replace"))
        if set(body) != PARTS or not all(isinstance(v, str) for v in body.values()):
            raise AttestationError("malformed", f"A proof travels with {', '.join(sorted(PARTS))}.")
        if body["field"] in given or body["field"] not in asked:
            raise AttestationError("malformed", "A proof was sent twice, or for a field that asks for none.")
        given[body["field"]] = body
    for name, issuers in asked.items():
        if name not in given:
            raise AttestationError("fact_missing", f"The proof that {name} meets the requirement is missing.")
        definition = open_definition(given[name]["definition"], issuers=issuers)
        registry = open_registry(given[name]["registry"], definition=definition)
        schema = requirement["properties"][name]
        predicates.verify(
            given[name]["proof"],
            definition=definition,
            registry=registry,
            listed=open_list(given[name]["list"], registry=registry, now=now),
            rule=rule_id(name, schema),
            least=least_of(schema),
            created=created,
            nonce=nonce,
        )


def least_of(schema: Mapping[str, Any]) -> int:
    """How many items a value needs: what the count of a proof is compared with."""
    return max(1, int(schema.get("minItems", 1)))
