"""Credentials: what a strict reader refuses, cross-checked against a second implementation of SD-JWT VC and of status lists."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS
from openvc.keys import signing_key_from_jwk
from openvc.proof.sd_jwt import SdJwtVcProofSuite
from openvc.status.issue import verify_status_list_token
from openvc.status.token_status_list import decode_status_list, get_status

from aggregation.wire import signing
from aggregation.wire.secret import Secret
from attestation.formats import credential, facts, jws, status
from attestation.formats.did_key import did_of, key_of
from attestation.formats.errors import AttestationError

NOW = 1_800_000_000
ISSUER, OTHER, HOLDER = (signing.generate(os.urandom) for _ in range(3))
DID = did_of(signing.public_key(ISSUER))
RECORD = {"skills": [{"name": "writing", "measurements": [7, 8.5]}], "peer_review": 7, "note": "ü"}
FACTS = {"skills": "aa" * 32, "peer_review": "bb" * 32}


def issued(**changes: Any) -> str:
    given: dict[str, Any] = {
        "private": ISSUER,
        "holder_key": signing.public_key(HOLDER),
        "record": RECORD,
        "facts": FACTS,
        "now": NOW,
        "expires": NOW + 1000,
        "status_uri": "https://issuer.example/status",
        "status_index": 77,
    }
    return credential.issue(**(given | changes))


def shown(text: str | None = None, **changes: Any) -> str:
    given: dict[str, Any] = {
        "holder": HOLDER,
        "facts": ["peer_review"],
        "audience": "collective-1",
        "nonce": "n-1",
        "now": NOW + 5,
    }
    return credential.present(text or issued(), **(given | changes))


def read(text: str, **changes: Any) -> credential.Claims:
    given: dict[str, Any] = {"issuers": {DID}, "audience": "collective-1", "nonce": "n-1", "now": NOW + 10}
    return credential.verify_presentation(text, **(given | changes))


def refused(work: Callable[[], Any]) -> str:
    with pytest.raises(AttestationError) as raised:
        work()
    return raised.value.code


def _jwk(private: Secret, **more: Any) -> dict[str, Any]:
    public = {"kty": "OKP", "crv": "Ed25519", "x": jws.encode(signing.public_key(private))}
    return public | ({"d": jws.encode(private.reveal())} if more.pop("secret", False) else {}) | more


def test_the_holder_reads_everything_and_the_collective_only_the_fact() -> None:
    whole = credential.open_issued(issued(), issuers=[DID], now=NOW)
    assert (whole.record, whole.facts) == (RECORD, FACTS)
    assert (whole.status_index, whole.holder_key) == (77, signing.public_key(HOLDER))

    part = read(shown())
    assert (part.record, part.facts) == ({}, {"peer_review": "bb" * 32})
    sent = shown()
    for disclosure in sent.split("~")[1:-1]:
        assert json.loads(jws.decode(disclosure))[1:] == ["peer_review", "bb" * 32]
    assert "measurements" not in repr(whole)


def test_expired_and_future_credentials_are_refused() -> None:
    assert refused(lambda: read(shown(), now=NOW + 1000)) == "expired"
    assert refused(lambda: read(shown(), now=NOW - 100)) == "not_yet_valid"
    assert refused(lambda: credential.open_issued(issued(), issuers=None, now=NOW + 1000)) == "expired"


def test_a_proof_holds_for_one_audience_one_occasion_and_a_short_time() -> None:
    assert refused(lambda: read(shown(), audience="collective-2")) == "wrong_audience"
    assert refused(lambda: read(shown(), nonce="n-2")) == "wrong_nonce"
    old = shown(issued(expires=NOW + 10_000), now=NOW)
    assert read(old, now=NOW + 600)
    assert refused(lambda: read(old, now=NOW + 601)) == "stale_proof"
    assert refused(lambda: read(shown(now=NOW + 100), now=NOW + 5)) == "stale_proof"


def test_no_key_binding_no_presence() -> None:
    stripped = shown().rsplit("~", 1)[0] + "~"
    assert refused(lambda: read(stripped)) == "no_key_binding"
    assert refused(lambda: read(issued())) == "no_key_binding"
    assert refused(lambda: read(shown(holder=OTHER))) == "wrong_key_binding"
    moved = shown(facts=["skills"]).rsplit("~", 1)[0] + "~" + shown().rsplit("~", 1)[1]
    assert refused(lambda: read(moved)) == "wrong_key_binding"


def test_only_named_issuers_count() -> None:
    assert refused(lambda: read(shown(), issuers={did_of(signing.public_key(OTHER))})) == "untrusted_issuer"
    assert refused(lambda: read(shown(), issuers=())) == "untrusted_issuer"
    forged = issued(private=OTHER)
    header, payload, signature = forged.split("~")[0].split(".")
    said = jws.parse(jws.decode(payload)) | {"iss": DID}
    body = f"{header}.{jws.encode(json.dumps(said).encode())}.{signature}"
    text = "~".join([body, *forged.split("~")[1:]])
    assert refused(lambda: read(shown(text))) == "bad_signature"


def _resigned(header: dict[str, Any], **claims: Any) -> str:
    """A credential as the issuer would sign it with another header or other claims, by jwcrypto alone."""
    token, *rest = issued().split("~")
    payload = jws.parse(jws.decode(token.split(".")[1])) | claims
    made = JWS(json.dumps({k: v for k, v in payload.items() if v is not None}))
    made.allowed_algs = ["EdDSA", "HS256", "ES256"]
    key = JWK(**_jwk(ISSUER, secret=True))
    if header.get("alg") == "HS256":  # the public key as an HMAC secret: the classic confusion
        key = JWK(kty="oct", k=jws.encode(signing.public_key(ISSUER)))
    if header.get("alg") == "ES256":
        key = JWK.generate(kty="EC", crv="P-256")
    made.add_signature(key, alg=header["alg"], protected=json.dumps(header))
    return "~".join([made.serialize(compact=True), *rest])


GOOD = {"alg": "EdDSA", "typ": "dc+sd-jwt"}


def test_the_helper_signs_what_is_accepted() -> None:
    assert read(shown(_resigned(GOOD))).facts == {"peer_review": "bb" * 32}


@pytest.mark.parametrize("alg", ["HS256", "ES256"])
def test_another_algorithm_is_refused(alg: str) -> None:
    assert refused(lambda: read(shown(_resigned(GOOD | {"alg": alg})))) == "wrong_algorithm"


def test_no_algorithm_is_refused_for_credential_and_proof() -> None:
    token, *rest = issued().split("~")
    none = jws.encode(b'{"alg":"none","typ":"dc+sd-jwt"}')
    assert (
        refused(lambda: read(shown("~".join([f"{none}.{token.split('.')[1]}.", *rest])))) == "wrong_algorithm"
    )

    body, proof = shown().rsplit("~", 1)
    none = jws.encode(b'{"alg":"none","typ":"kb+jwt"}')
    assert refused(lambda: read(f"{body}~{none}.{proof.split('.')[1]}.")) == "wrong_algorithm"


@pytest.mark.parametrize(
    ("header", "claims", "code"),
    [
        (GOOD | {"typ": "JWT"}, {}, "wrong_type"),
        (GOOD | {"typ": "vc+sd-jwt"}, {}, "wrong_type"),
        (GOOD | {"jwk": {}}, {}, "malformed"),
        (GOOD, {"vct": "urn:other"}, "wrong_type"),
        (GOOD, {"cnf": None}, "malformed"),
        (GOOD, {"cnf": {"jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}}, "malformed"),
        (GOOD, {"exp": None}, "malformed"),
        (GOOD, {"exp": "never"}, "malformed"),
        (GOOD, {"exp": 1e300}, "malformed"),
        (GOOD, {"iat": True}, "malformed"),
        (GOOD, {"status": {}}, "malformed"),
        (GOOD, {"status": {"status_list": {"idx": -1, "uri": "x"}}}, "malformed"),
        (GOOD, {"_sd_alg": "md5"}, "malformed"),
        (GOOD, {"facts": {"peer_review": "bb" * 32}}, "malformed"),
        (GOOD, {"facts": []}, "malformed"),
        (GOOD, {"admin": True}, "malformed"),
        (GOOD, {"iss": 5}, "untrusted_issuer"),
    ],
)
def test_what_an_issuer_signs_must_have_the_agreed_form(
    header: dict[str, Any], claims: dict[str, Any], code: str
) -> None:
    text = _resigned(header, **claims)
    assert refused(lambda: credential.open_issued(text, issuers={DID}, now=NOW)) == code


def test_disclosures_that_belong_to_nothing_or_come_twice_are_refused() -> None:
    token, *disclosures, end = issued().split("~")
    stray = jws.encode(json.dumps(["c2FsdA", "manager_evaluation", 10]).encode())
    for more in ([stray], [disclosures[0]], ["%%%"], [""]):
        text = "~".join([token, *disclosures, *more, end])
        assert refused(lambda text=text: credential.open_issued(text, issuers={DID}, now=NOW)) == "malformed"


@given(
    st.text(max_size=40)
    | st.lists(st.sampled_from([*issued().split("~"), "", "a.b.c", "~"]), max_size=6).map("~".join)
)
def test_any_text_is_refused_by_name(text: str) -> None:
    assert refused(lambda: read(text))


@given(st.integers(0, len(shown()) - 1), st.characters(codec="ascii"))
def test_one_changed_character_is_noticed(place: int, letter: str) -> None:
    text = shown()
    changed = text[:place] + letter + text[place + 1 :]
    if changed != text:
        assert refused(lambda: read(changed))


# --- a second implementation -------------------------------------------------------------------------------------------------


def test_another_library_accepts_what_we_present() -> None:
    now = int(time.time())
    text = shown(issued(now=now, expires=now + 1000), now=now, facts=["skills", "peer_review"])

    theirs = SdJwtVcProofSuite().verify(
        text,
        public_key_jwk=_jwk(ISSUER),
        audience="collective-1",
        nonce="n-1",
        require_key_binding=True,
        expected_vct=credential.VCT,
    )

    assert theirs.key_bound
    assert theirs.claims["facts"] == FACTS
    assert theirs.claims.get("record", {}) == {}
    assert theirs.claims["iss"] == DID


def test_we_accept_the_proof_that_another_library_makes() -> None:
    now = int(time.time())
    text = issued(now=now, expires=now + 1000)
    key = signing_key_from_jwk(_jwk(HOLDER, secret=True), kid="holder")

    theirs = SdJwtVcProofSuite().create_presentation(
        text, holder_key=key, audience="collective-1", nonce="n-1"
    )

    assert read(theirs, now=now).facts == FACTS


def test_another_library_refuses_what_we_refuse() -> None:
    now = int(time.time())
    text = shown(issued(now=now, expires=now + 1000), now=now)
    expired = shown(issued(now=now - 2000, expires=now - 1000), now=now)
    suite, base = SdJwtVcProofSuite(), {"public_key_jwk": _jwk(ISSUER), "require_key_binding": True}
    good = {"audience": "collective-1", "nonce": "n-1"}
    for bad, more in (
        (text, good | {"audience": "x"}),
        (text, good | {"nonce": "x"}),
        (text.rsplit("~", 1)[0] + "~", good),
        (expired, good),
        (shown(issued(now=now, expires=now + 1000), now=now, holder=OTHER), good),
    ):
        with pytest.raises(Exception):  # noqa: B017 - its own error types
            suite.verify(bad, **base, **more)


def test_disclosure_digests_are_those_of_the_standard() -> None:
    """RFC 9901 §4.2.3: base64url(SHA-256(ASCII(disclosure)))."""
    token, *disclosures, _ = issued().split("~")
    payload = jws.parse(jws.decode(token.split(".")[1]))
    digests = {jws.encode(hashlib.sha256(d.encode()).digest()) for d in disclosures}
    assert digests == {*payload["record"]["_sd"], *payload["facts"]["_sd"]}


# --- status ----------------------------------------------------------------------------------------------------------------------

URI = "https://issuer.example/status"


def listed(*revoked: int, **changes: Any) -> str:
    given: dict[str, Any] = {"private": ISSUER, "uri": URI, "revoked": revoked, "now": NOW, "lifetime": 600}
    return status.issue(**(given | changes))


def look(token: str, index: int = 77, **changes: Any) -> None:
    status.check(token, **({"issuer": DID, "uri": URI, "index": index, "now": NOW + 5} | changes))


def test_a_revoked_credential_is_known_by_its_place() -> None:
    look(listed(76, 78))
    assert refused(lambda: look(listed(5, 77))) == "revoked"


@pytest.mark.parametrize(
    ("token", "changes"),
    [
        (listed(private=OTHER), {}),
        (listed(uri="https://issuer.example/other"), {}),
        (listed(), {"now": NOW + 600}),
        (listed(), {"now": NOW - 100}),
        (listed(), {"index": status.SIZE}),
        ("a.b.c", {}),
        ("", {}),
        (jws.sign(ISSUER, {"typ": "JWT"}, {}), {}),
        (jws.sign(ISSUER, {"typ": status.TYP}, {"status_list": {"bits": 1, "lst": "AA"}}), {}),
    ],
)
def test_a_list_that_cannot_be_relied_on_is_no_yes(token: str, changes: dict[str, Any]) -> None:
    assert refused(lambda: look(token, **changes)) == "status_unknown"


def test_another_library_reads_the_same_bits() -> None:
    now = datetime.fromtimestamp(NOW + 5, UTC)
    claims = verify_status_list_token(
        listed(0, 9, 131_071), public_key_jwk=_jwk(ISSUER), expected_uri=URI, now=now
    )
    bits = decode_status_list(claims["status_list"]["lst"])
    assert [i for i in (0, 1, 8, 9, 10, 131_070, 131_071) if get_status(bits, i)] == [0, 9, 131_071]


# --- names and facts ----------------------------------------------------------------------------------------------------------


def test_did_key_is_that_of_the_method() -> None:
    """The example of the did:key method's own text."""
    did = "did:key:z6MkpTHR8VNsBxYAAWHut2Geadd9jSwuBV8xRoAnwWsdvktH"
    assert did_of(key_of(did)) == did


@pytest.mark.parametrize(
    "did",
    ["", "did:web:x", "did:key:z", "did:key:z6Mk", "did:key:zQ3sh" + "1" * 44, DID + "1", DID[:-1] + "0"],
    ids=["empty", "other method", "no key", "cut", "other curve", "a digit more", "no digit"],
)
def test_other_identifiers_are_refused(did: str) -> None:
    assert refused(lambda: key_of(did)) == "malformed"


def test_a_rule_is_known_by_what_it_demands() -> None:
    rule = {"type": "integer", "minimum": 0, "maximum": 10}
    same = rule | {
        "title": "peer review",
        "x-assurance": "attested",
        "x-issuers": [DID],
        "x-feature": {"encode": "number"},
    }
    assert facts.rule_id("peer_review", rule) == facts.rule_id("peer_review", same)
    assert facts.rule_id("peer_review", rule) != facts.rule_id("peer_review", rule | {"maximum": 9})
    assert facts.rule_id("peer_review", rule) != facts.rule_id("manager_evaluation", rule)
    nested = {"type": "object", "properties": {"title": {"type": "string"}}}
    assert facts.rule_id("x", nested) != facts.rule_id(
        "x", {"type": "object", "properties": {"description": {"type": "string"}}}
    )
