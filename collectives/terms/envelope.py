"""The envelope of a signed document: `{"kind", "document", "key", "signature"}`.

The Ed25519 signature covers `{"hash": SHA-256 of the RFC 8785 form}` under the label `cssi/v1/<kind>`, so a signature for
one kind of document never serves another.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from aggregation.wire import signing
from aggregation.wire.errors import WireError
from aggregation.wire.secret import Secret
from collectives.terms.canonical import MAX_BYTES, canonical, digest, parse_json
from collectives.terms.errors import TermsError
from collectives.terms.fields import exactly, hex_bytes

_KIND = re.compile(r"[a-z][a-z-]{1,30}")
_PUBLISHED = frozenset({"terms", "notice", "job"})
_LARGEST = {"epoch": 64 * 1024 * 1024}
"""Bytes of a kind of document that people do not write: an epoch's statement names every address it pays, some 80 bytes each."""


@dataclass(frozen=True, kw_only=True)
class SignedDocument:
    """A document with the key that signed it. Only `open` says that the signature holds."""

    kind: str
    document: Mapping[str, Any]
    key: str
    signature: str

    @classmethod
    def sign(cls, kind: str, document: Mapping[str, Any], private: Secret) -> SignedDocument:
        signature = signing.sign(private, _label(kind), {"hash": _digest(kind, document)})
        return cls(
            kind=kind, document=document, key=signing.public_key(private).hex(), signature=signature.hex()
        )

    @classmethod
    def from_json(cls, value: Any) -> SignedDocument:
        """An envelope from JSON text or from an already parsed object; nothing is verified yet.

        Raises:
            TermsError: `malformed` or `not_json`.
        """
        if isinstance(value, str | bytes):
            value = parse_json(value)
        fields = exactly(value, ("kind", "document", "key", "signature"), "A signed document")
        if not isinstance(fields["kind"], str) or not _KIND.fullmatch(fields["kind"]):
            raise TermsError("malformed", "The envelope's kind is not a word.")
        if not isinstance(fields["document"], Mapping):
            raise TermsError("malformed", "The signed document must be a JSON object.")
        return cls(
            kind=fields["kind"],
            document=fields["document"],
            key=hex_bytes(fields, "key", 32),
            signature=hex_bytes(fields, "signature", 64),
        )

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "document": self.document, "key": self.key, "signature": self.signature}

    def to_bytes(self) -> bytes:
        return canonical(self.to_json())

    @property
    def hash(self) -> str:
        """SHA-256 of the document's canonical form, hex."""
        return _digest(self.kind, self.document).hex()

    def open(self, kind: str, expected_key: str | None = None) -> Mapping[str, Any]:
        """The document, once kind, key and signature are right.

        Raises:
            TermsError: `wrong_kind`, `wrong_key` or `bad_signature`.
        """
        if self.kind != kind:
            raise TermsError(
                "wrong_kind", "This is a signed %(kind)s, not a %(wanted)s.", kind=self.kind, wanted=kind
            )
        if expected_key is not None and self.key != expected_key:
            raise TermsError(
                "wrong_key", "This %(kind)s is signed by another key than the expected one.", kind=kind
            )
        try:
            signing.verify(
                bytes.fromhex(self.key),
                _label(kind),
                {"hash": _digest(self.kind, self.document)},
                bytes.fromhex(self.signature),
            )
        except WireError as error:
            raise TermsError(
                "bad_signature", "The signature of this %(kind)s does not hold.", kind=kind
            ) from error
        return self.document


def _label(kind: str) -> bytes:
    if not _KIND.fullmatch(kind):
        raise ValueError(f"{kind!r} is not a kind of document")
    return b"cssi/v1/" + kind.encode("ascii")


def _digest(kind: str, document: Mapping[str, Any]) -> bytes:
    # Every wallet of a host receives the same published documents, and the canonical form of long terms costs milliseconds.
    # What belongs to one person is never remembered.
    if kind in _PUBLISHED:
        try:
            return _remembered(json.dumps(document))
        except (TypeError, ValueError, RecursionError):
            pass  # not plain JSON: the canonical form says what is wrong
    return digest(document, most=_LARGEST.get(kind, MAX_BYTES))


@lru_cache(maxsize=32)
def _remembered(text: str) -> bytes:
    return digest(json.loads(text))
