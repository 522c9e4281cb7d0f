"""Proofs that link nothing, as they travel in a statement of presence: `{"field", "definition", "proof"}` as JSON text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from attestation.formats import jws, predicates
from attestation.formats.errors import AttestationError
from attestation.formats.facts import rule_id


def is_proof(text: str) -> bool:
    """Whether an attestation is one of these (the others are SD-JWT presentations, which begin with a token)."""
    return text.startswith("{")


def pack(field: str, definition: predicates.Definition, proof: str) -> str:
    return json.dumps({"field": field, "definition": definition.token, "proof": proof})


def check(
    texts: Sequence[str],
    asked: Mapping[str, Sequence[str]],
    requirement: Mapping[str, Any],
    created: int,
    nonce: str,
) -> None:
    """One good proof for each asked field, and none besides. `asked`: field -> issuers trusted for it.

    Raises:
        AttestationError: names what is wrong.
    """
    given: dict[str, dict[str, Any]] = {}
    for text in texts:
        body = jws.parse(text.encode("utf-8", "replace"))
        if set(body) != {"field", "definition", "proof"} or not all(
            isinstance(v, str) for v in body.values()
        ):
            raise AttestationError("malformed", "A proof travels as field, definition and proof.")
        if body["field"] in given or body["field"] not in asked:
            raise AttestationError("malformed", "A proof was sent twice, or for a field that asks for none.")
        given[body["field"]] = body
    for name, issuers in asked.items():
        if name not in given:
            raise AttestationError("fact_missing", f"The proof that {name} meets the requirement is missing.")
        definition = predicates.open_definition(given[name]["definition"], issuers=issuers)
        schema = requirement["properties"][name]
        predicates.verify(
            given[name]["proof"],
            definition=definition,
            rule=rule_id(name, schema),
            least=least_of(schema),
            created=created,
            nonce=nonce,
        )


def least_of(schema: Mapping[str, Any]) -> int:
    """How many items a value needs: what the count of a proof is compared with."""
    return max(1, int(schema.get("minItems", 1)))
