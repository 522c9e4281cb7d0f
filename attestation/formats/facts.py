"""Facts: which rule of which field an issuer found a person's value to meet, and what a requirement asks to be shown."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import rfc8785

from attestation.formats.errors import AttestationError

_IN_WORDS_ONLY = frozenset({"title", "description", "x-assurance", "x-issuers", "x-feature"})
"""Words of a field's schema that do not decide whether a value is valid."""


def rule_id(name: str, schema: Mapping[str, Any]) -> str:
    """SHA-256 over the field's name and the validating part of its schema, hex: two requirements with one rule share it."""
    return hashlib.sha256(rfc8785.dumps({"field": name, "rule": _bare(schema)})).hexdigest()


def _bare(node: Any) -> Any:
    if isinstance(node, Mapping):
        kept = {word: value for word, value in node.items() if word not in _IN_WORDS_ONLY}
        if isinstance(node.get("properties"), Mapping):
            kept["properties"] = {name: _bare(child) for name, child in node["properties"].items()}
        if "items" in kept:
            kept["items"] = _bare(kept["items"])
        return kept
    return node


def asked(requirement: Mapping[str, Any], level: str = "attested") -> dict[str, tuple[str, ...]]:
    """The fields whose presence an issuer must attest at this level, with the issuers trusted for each."""
    return {
        name: tuple(schema.get("x-issuers", ()))
        for name, schema in requirement["properties"].items()
        if schema.get("x-assurance", "declared") == level
    }


def nonce(
    *, collective_id: str, requirement_hash: str, subscription_key: str, commitment: str, created: int
) -> str:
    """What a holder's proof is made for: exactly one statement of presence by one subscription key, hex.

    The subscription key is fresh and used for one subscription, so a proof cannot be shown again by somebody else.
    """
    said: dict[str, Any] = {
        "label": "cssi/v1/presence",
        "collective": collective_id,
        "requirement": requirement_hash,
        "subscription": subscription_key,
        "commitment": commitment,
        "created": created,
    }
    return hashlib.sha256(rfc8785.dumps(said)).hexdigest()


def check_fact(facts: Mapping[str, str], name: str, schema: Mapping[str, Any]) -> None:
    """Raises:
    AttestationError: `fact_missing`.
    """
    if facts.get(name) != rule_id(name, schema):
        raise AttestationError(
            "fact_missing",
            f"The credential does not show that {name} meets the requirement. Ask the issuer to attest it for this requirement.",
        )
