"""Attested values as an SD-JWT VC with key binding (RFC 9901, draft-ietf-oauth-sd-jwt-vc), in one closed form.

Claims: `iss` (did:key), `vct`, `iat`, `exp`, `cnf` (the holder's Ed25519 key), `status` (index in a status list), and two objects
whose members are each disclosable on their own:

* `record`: field -> value. For the holder's wallet; this project's wallet never discloses one to a collective.
* `facts`: field -> id of the rule that the issuer found the value to meet (`facts.rule_id`). Disclosing a fact shows that the value
  exists and meets the collective's rule, and nothing of it.

The package `sd-jwt` hashes and unpacks disclosures. Everything it leaves open is decided here: it accepts expired tokens, any
algorithm, unreferenced disclosures and a missing key binding unless told otherwise. `now` is an argument; nothing is fetched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from jwcrypto.jwk import JWK
from sd_jwt.common import SDObj
from sd_jwt.holder import SDJWTHolder
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.verifier import SDJWTVerifier

from aggregation.wire import signing
from aggregation.wire.secret import Secret
from attestation.formats import jws
from attestation.formats.did_key import did_of, key_of
from attestation.formats.errors import AttestationError

VCT = "urn:compute-to-ssi:attested-values:1"
TYP, KB_TYP = "dc+sd-jwt", "kb+jwt"
LARGEST = 64 * 1024
CLOCK_SKEW = 60
MAX_PROOF_AGE = 600
"""Seconds a key-binding proof may be old; it is bound to one fresh subscription key besides."""
_CLAIMS = {"iss", "vct", "iat", "exp", "cnf", "status", "record", "facts", "_sd_alg"}


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What a verified credential says. `record` and `facts` hold only what was disclosed."""

    issuer: str
    holder_key: bytes
    issued: int
    expires: int
    status_uri: str
    status_index: int
    record: Mapping[str, Any] = field(repr=False)
    facts: Mapping[str, str]


def issue(
    *,
    private: Secret,
    holder_key: bytes,
    record: Mapping[str, Any],
    facts: Mapping[str, str],
    now: int,
    expires: int,
    status_uri: str,
    status_index: int,
) -> str:
    """An SD-JWT VC in compact form, ending in `~`, with every disclosure."""
    public = signing.public_key(private)
    claims = {
        "iss": did_of(public),
        "vct": VCT,
        "iat": now,
        "exp": expires,
        "status": {"status_list": {"idx": status_index, "uri": status_uri}},
        "record": {SDObj(name): value for name, value in record.items()},
        "facts": {SDObj(name): value for name, value in facts.items()},
    }
    made = SDJWTIssuer(
        claims,
        _jwk(public, private),
        holder_key=_jwk(holder_key),
        sign_alg=jws.ALG,
        extra_header_parameters={"typ": TYP},
    )
    return str(made.sd_jwt_issuance)


def open_issued(text: str, *, issuers: Collection[str] | None, now: int) -> Claims:
    """Check a credential as its holder received it (no key binding yet, everything disclosed). `issuers` None: any.

    Raises:
        AttestationError: names what is wrong.
    """
    token, disclosures, binding = _split(text)
    if binding:
        raise AttestationError("malformed", "This is a presentation, not a credential.")
    return _verified(text, token, disclosures, issuers=issuers, now=now)


def present(text: str, *, holder: Secret, facts: Collection[str], audience: str, nonce: str, now: int) -> str:
    """A presentation that discloses these facts, and no value, to one audience for one nonce."""
    chosen = SDJWTHolder(text)
    chosen.create_presentation({"facts": dict.fromkeys(facts, True)})
    body = str(chosen.sd_jwt_presentation)
    proof = {"iat": now, "aud": audience, "nonce": nonce, "sd_hash": _hash(body)}
    return body + jws.sign(holder, {"typ": KB_TYP}, proof)


def verify_presentation(
    text: str, *, issuers: Collection[str], audience: str, nonce: str, now: int
) -> Claims:
    """Check a presentation: issuer, signature, validity, disclosures, and the holder's proof for exactly this audience and nonce.

    The status must still be looked up (`attestation.formats.status`).

    Raises:
        AttestationError: names what is wrong.
    """
    token, disclosures, binding = _split(text)
    if not binding:
        raise AttestationError("no_key_binding", "The presentation lacks the holder's proof (key binding).")
    body = text[: len(text) - len(binding)]
    claims = _verified(body, token, disclosures, issuers=issuers, now=now)
    try:
        proof = jws.verify(binding, claims.holder_key, KB_TYP)
    except AttestationError as error:
        code = "wrong_algorithm" if error.code == "wrong_algorithm" else "wrong_key_binding"
        raise AttestationError(
            code, "The holder's proof is not made with the key the credential names."
        ) from None
    if set(proof) != {"iat", "aud", "nonce", "sd_hash"} or proof["sd_hash"] != _hash(body):
        raise AttestationError("wrong_key_binding", "The holder's proof is for another presentation.")
    if proof["aud"] != audience:
        raise AttestationError("wrong_audience", "The holder's proof was made for somebody else.")
    if proof["nonce"] != nonce:
        raise AttestationError("wrong_nonce", "The holder's proof was made for another occasion.")
    made = _time(proof, "iat")
    if not now - MAX_PROOF_AGE <= made <= now + CLOCK_SKEW:
        raise AttestationError(
            "stale_proof", "The holder's proof is too old or from the future. Present again."
        )
    return claims


def _split(text: str) -> tuple[str, list[str], str]:
    if not isinstance(text, str) or not text.isascii() or len(text) > LARGEST or "~" not in text:
        raise AttestationError("malformed", f"A credential is an SD-JWT of at most {LARGEST // 1024} KiB.")
    token, *disclosures, binding = text.split("~")
    return token, disclosures, binding


def _verified(
    body: str, token: str, disclosures: list[str], *, issuers: Collection[str] | None, now: int
) -> Claims:
    payload = jws.peek(token, TYP)
    issuer = payload.get("iss")
    if not isinstance(issuer, str) or (issuers is not None and issuer not in issuers):
        raise AttestationError(
            "untrusted_issuer", "The credential is from an issuer that is not trusted here."
        )
    payload = jws.verify(token, key_of(issuer), TYP)
    _check_claims(payload, now)
    _check_disclosures(payload, disclosures)
    try:
        # Signature and algorithm are settled above; the library unpacks the disclosures.
        shown = SDJWTVerifier(body, lambda *_: _jwk(key_of(issuer))).get_verified_payload()
    except Exception as error:  # jwcrypto and sd-jwt raise many kinds
        raise AttestationError("malformed", "The credential's disclosures do not fit it.") from error
    index = payload["status"]["status_list"]
    return Claims(
        issuer=issuer,
        holder_key=_holder_key(payload["cnf"]),
        issued=payload["iat"],
        expires=payload["exp"],
        status_uri=index["uri"],
        status_index=index["idx"],
        record=shown["record"],
        facts=shown["facts"],
    )


def _check_claims(payload: Mapping[str, Any], now: int) -> None:
    if set(payload) != _CLAIMS or payload["_sd_alg"] != "sha-256":
        raise AttestationError("malformed", "The credential does not have the agreed claims.")
    if payload["vct"] != VCT:
        raise AttestationError("wrong_type", f"The credential must be of the type {VCT}.")
    if _time(payload, "iat") > now + CLOCK_SKEW:
        raise AttestationError("not_yet_valid", "The credential is from the future. Check the clock.")
    if _time(payload, "exp") <= now:
        raise AttestationError("expired", "The credential has expired. Ask its issuer for a new one.")
    try:
        index = payload["status"]["status_list"]
        good = set(index) == {"idx", "uri"} and type(index["idx"]) is int and index["idx"] >= 0
        good = good and isinstance(index["uri"], str) and len(index["uri"]) <= 500
    except (TypeError, KeyError):
        good = False
    if not good:
        raise AttestationError("malformed", "The credential names no place in a status list.")


def _check_disclosures(payload: Mapping[str, Any], disclosures: list[str]) -> None:
    """Every disclosure is a member of `record` or `facts`, referenced once; nothing lies beside them in the clear."""
    places: list[tuple[str, str]] = []
    for part in ("record", "facts"):
        held = payload[part]
        digests = held.get("_sd", []) if isinstance(held, dict) else None
        if (
            not isinstance(digests, list)
            or set(held) - {"_sd"}
            or not all(isinstance(d, str) for d in digests)
        ):
            raise AttestationError(
                "malformed", "The credential's values must each be disclosable on their own."
            )
        places += [(digest, part) for digest in digests]
    known = dict(places)
    shown = [_hash(text) for text in disclosures]
    if len(known) != len(places) or len(set(shown)) != len(shown) or not set(shown) <= set(known):
        raise AttestationError(
            "malformed", "A disclosure of the credential is repeated or belongs to nothing."
        )
    for text, digest in zip(disclosures, shown, strict=True):
        parts = jws.parse(b'{"d":' + jws.decode(text) + b"}")["d"]
        good = (
            isinstance(parts, list)
            and len(parts) == 3
            and isinstance(parts[0], str)
            and isinstance(parts[1], str)
        )
        if not good or (known[digest] == "facts" and not isinstance(parts[2], str)) or _nested(parts[2]):
            raise AttestationError("malformed", "A disclosure of the credential is not a name and a value.")


def _nested(value: Any) -> bool:
    """Whether a value holds selective disclosure of its own; the agreed form has it on whole fields only."""
    if isinstance(value, dict):
        return bool({"_sd", "..."} & set(value)) or any(map(_nested, value.values()))
    return isinstance(value, list) and any(map(_nested, value))


def _holder_key(cnf: Any) -> bytes:
    jwk = cnf.get("jwk") if isinstance(cnf, dict) else None
    if (
        not isinstance(jwk, dict)
        or set(jwk) != {"kty", "crv", "x"}
        or (jwk["kty"], jwk["crv"]) != ("OKP", "Ed25519")
    ):
        raise AttestationError("malformed", "The credential is not bound to an Ed25519 key of its holder.")
    return jws.decode(str(jwk["x"]))


def _time(claims: Mapping[str, Any], name: str) -> int:
    value = claims[name]
    if type(value) is not int or not 0 <= value < 2**53:
        raise AttestationError("malformed", f"The claim {name} is no time in whole seconds.")
    return value


def _hash(text: str) -> str:
    return jws.encode(hashlib.sha256(text.encode("ascii")).digest())


def _jwk(public: bytes, private: Secret | None = None) -> JWK:
    key = {"kty": "OKP", "crv": "Ed25519", "x": jws.encode(public)}
    return JWK(**key, d=jws.encode(private.reveal())) if private else JWK(**key)
