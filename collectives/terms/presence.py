"""The statement that required data is present: within a subscription, and again when the data changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collectives.terms import fields as f
from collectives.terms.errors import TermsError

MOST_ATTESTATIONS = 50
_NAMES = ("version", "collective_id", "subscription_key", "requirement_hash", "presence", "created")


def check_presence(value: Mapping[str, Any]) -> None:
    """`{level, commitment, record_count}`, and `attestations` at the attested level alone.

    Raises:
        TermsError: `malformed`.
    """
    attested = isinstance(value, Mapping) and value.get("level") == "attested"
    names = ("level", "commitment", "record_count", *(["attestations"] if attested else []))
    presence = f.exactly(value, names, "presence")
    f.one_of(presence, "level", ("declared", "attested"))
    f.hex_bytes(presence, "commitment", 32)
    f.integer(presence, "record_count", 1, 1_000_000)
    shown = presence.get("attestations", [])
    good = isinstance(shown, list) and len(shown) <= MOST_ATTESTATIONS
    if not good or not all(isinstance(one, str) for one in shown):
        raise TermsError(
            "malformed",
            "attestations must be a list of at most %(most_attestations)s presentations.",
            most_attestations=MOST_ATTESTATIONS,
        )


@dataclass(frozen=True, kw_only=True)
class PresenceStatement:
    """Wallet → collective, signed by the subscription key: my data changed, and this is what is present now."""

    collective_id: str
    subscription_key: str
    requirement_hash: str
    presence: Mapping[str, Any]
    created: int

    @classmethod
    def parse(cls, document: Any) -> PresenceStatement:
        """Raises:
        TermsError: `malformed`.
        """
        m = f.exactly(document, _NAMES, "A statement of presence")
        if m["version"] != 1:
            raise TermsError("malformed", "This program knows version 1 of a statement of presence.")
        check_presence(m["presence"])
        return cls(
            collective_id=f.uuid(m, "collective_id"),
            subscription_key=f.hex_bytes(m, "subscription_key", 32),
            requirement_hash=f.hex_bytes(m, "requirement_hash", 32),
            presence=m["presence"],
            created=f.integer(m, "created"),
        )

    def to_document(self) -> dict[str, Any]:
        return {"version": 1, **{name: getattr(self, name) for name in _NAMES[1:]}}
