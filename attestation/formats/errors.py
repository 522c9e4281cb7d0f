"""The named refusals of credentials."""

from __future__ import annotations


class AttestationError(Exception):
    """`code` is stable; the text says what to do. Values are never repeated.

    Codes: malformed, wrong_algorithm, wrong_type, untrusted_issuer, bad_signature, expired, not_yet_valid, no_key_binding,
    wrong_key_binding, wrong_audience, wrong_nonce, stale_proof, revoked, status_unknown, fact_missing.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
