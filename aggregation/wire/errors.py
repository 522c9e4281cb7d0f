"""Errors of the wire formats. Each carries `code`, a word a program can act on, and a sentence for a person."""

from __future__ import annotations


class WireError(Exception):
    """Something on the wire is not what the format says."""

    code = "wire"

    def __init__(self, sentence: str, *, code: str | None = None) -> None:
        super().__init__(sentence)
        if code is not None:
            self.code = code


class CodecError(WireError):
    code = "malformed"


class BadKey(WireError):
    code = "bad_key"


class BadSignature(WireError):
    code = "bad_signature"


class SealError(WireError):
    code = "cannot_unseal"


class BadProof(WireError):
    code = "bad_proof"


class AuthError(WireError):
    code = "not_authorised"
    status = 401
