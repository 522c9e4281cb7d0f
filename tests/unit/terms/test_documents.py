"""Signed documents: what is signed is what is read, and every change is noticed."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from eth_account.messages import encode_typed_data
from eth_utils import keccak
from hypothesis import given
from hypothesis import strategies as st

from aggregation.wire import signing
from aggregation.wire.errors import BadSignature
from aggregation.wire.secret import Secret
from collectives.terms import agreement, envelope
from collectives.terms.canonical import canonical, digest, parse_json
from collectives.terms.description import (
    Terms,
    build_terms,
    duration,
    terms_hash,
    tokens,
    words_for_agreement,
)
from collectives.terms.envelope import SignedDocument
from collectives.terms.errors import TermsError
from collectives.terms.permit import Permit, Revocation, Task
from wallets.agent.ledger import FORMAL_COLLECTIVE_EPSILON

AGREED = {
    "collective_id": "12345678-1234-4234-8234-123456789012",
    "terms_hash": "aa" * 32,
    "requirement_hash": "bb" * 32,
    "rate": 5 * 10**15,
    "payout_hash": b"\x07" * 32,
    "valid_from": 10,
    "valid_until": 20,
    "nonce": 2**200,
}


def test_an_envelope_opens_to_the_document_it_was_made_from(
    key: Secret, terms_document: dict[str, Any]
) -> None:
    envelope = SignedDocument.from_json(SignedDocument.sign("terms", terms_document, key).to_bytes())

    assert envelope.open("terms", signing.public_key(key).hex()) == terms_document
    assert envelope.hash == terms_hash(terms_document)


def test_any_change_of_the_document_breaks_the_signature(key: Secret, terms_document: dict[str, Any]) -> None:
    value = SignedDocument.sign("terms", terms_document, key).to_json()
    changed = copy.deepcopy(value)
    changed["document"]["rate"] = "10000000000000000"

    with pytest.raises(TermsError) as raised:
        SignedDocument.from_json(changed).open("terms")
    assert raised.value.code == "bad_signature"


def test_published_documents_are_digested_once_and_every_change_is_still_seen(
    key: Secret, terms_document: dict[str, Any]
) -> None:
    signed = SignedDocument.sign("terms", terms_document, key)
    before = envelope._remembered.cache_info()
    assert [signed.hash for _ in range(3)] == [digest(terms_document).hex()] * 3
    after = envelope._remembered.cache_info()
    assert (after.hits - before.hits, after.misses) == (3, before.misses)

    terms_document["rate"] = "10000000000000000"
    assert signed.hash == digest(terms_document).hex()
    with pytest.raises(TermsError, match="signature"):
        signed.open("terms")
    with pytest.raises(TermsError) as raised:
        SignedDocument.sign("terms", {**terms_document, "rate": float("nan")}, key)
    assert raised.value.code == "not_json"


def test_nothing_of_one_persons_documents_is_remembered(key: Secret) -> None:
    before = envelope._remembered.cache_info()
    signed = SignedDocument.sign("permit", {"pseudonym": "aa" * 32}, key)
    signed.open("permit")

    assert envelope._remembered.cache_info() == before


def test_a_signature_for_one_kind_does_not_serve_another(key: Secret) -> None:
    value = SignedDocument.sign("permit", {"a": 1}, key).to_json() | {"kind": "notice"}

    with pytest.raises(TermsError) as raised:
        SignedDocument.from_json(value).open("notice")
    assert raised.value.code == "bad_signature"


def test_another_key_than_the_expected_one_is_refused(key: Secret) -> None:
    envelope = SignedDocument.sign("permit", {"a": 1}, key)

    with pytest.raises(TermsError) as raised:
        envelope.open("permit", expected_key="00" * 32)
    assert raised.value.code == "wrong_key"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"kind":1}',
        '{"kind":"x","kind":"y"}',
        '{"a":NaN}',
        "\ud800",
        "null",
        '{"kind":"UPPER","document":{},"key":"","signature":""}',
    ],
)
def test_malformed_envelopes_get_a_named_error(text: str) -> None:
    with pytest.raises(TermsError):
        SignedDocument.from_json(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_the_canonical_form_round_trips(value: Any) -> None:
    try:
        body = canonical(value)
    except TermsError:
        return  # unpaired surrogates
    assert json.loads(body) == value
    assert canonical(parse_json(body)) == body


def test_a_rate_outside_the_tiers_names_the_tiers(terms_values: dict[str, Any]) -> None:
    with pytest.raises(TermsError, match=r"0\.005.*OCEAN per visit") as raised:
        build_terms(**terms_values | {"rate": 6 * 10**15})
    assert raised.value.code == "rate_not_in_tier"


@pytest.mark.parametrize("low", [{"bucket_min": 19}, {"release_min": 99}])
def test_minima_below_the_floor_need_development_terms(
    terms_values: dict[str, Any], low: dict[str, int]
) -> None:
    with pytest.raises(TermsError) as raised:
        build_terms(**terms_values | low)
    assert raised.value.code == "minima_too_low"

    terms = Terms.parse(build_terms(**terms_values | low | {"development": True}))
    assert any("Development terms" in line for line in words_for_agreement(terms))


def test_formal_terms_say_the_budget_that_wallets_keep(terms_values: dict[str, Any]) -> None:
    said = {
        level: words_for_agreement(Terms.parse(build_terms(**terms_values | {"privacy_level": level})))
        for level in ("aggregate", "formal")
    }
    (only_formal,) = set(said["formal"]) - set(said["aggregate"])
    assert (
        f"at most ε = {FORMAL_COLLECTIVE_EPSILON:g} about you (δ = 10⁻⁶), also to the aggregator"
        in only_formal
    )
    assert "refuses" in only_formal


@pytest.mark.parametrize("name", ["purpose", "rate", "agreement", "requirement"])
def test_a_missing_element_is_named(terms_document: dict[str, Any], name: str) -> None:
    del terms_document[name]

    with pytest.raises(TermsError, match=name):
        Terms.parse(terms_document)


def test_the_consent_text_states_the_numbers_that_are_enforced(terms_document: dict[str, Any]) -> None:
    text = "\n".join(words_for_agreement(Terms.parse(terms_document)))

    assert "at least 38 wallets; the buyer gets a model made of sums of at least 100" in text
    assert "0.005 OCEAN for each visit" in text
    assert "14 days ahead" in text
    assert "cannot be taken out again" in text


def test_money_and_periods_are_written_exactly() -> None:
    assert tokens(1) == "0.000000000000000001"
    assert tokens(5 * 10**15) == "0.005"
    assert tokens(10_000 * 10**18) == "10000"
    assert [duration(s) for s in (86400, 14 * 86400, 90, 0)] == [
        "1 day",
        "14 days",
        "90 seconds",
        "0 seconds",
    ]


def test_the_agreements_hash_is_the_one_ethereum_wallets_compute() -> None:
    message = agreement.build(**AGREED)
    names = [part.split() for part in agreement.TYPE.split("(")[1][:-1].split(",")]
    typed = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "SubscriptionAgreement": [{"type": kind, "name": name} for kind, name in names],
        },
        "primaryType": "SubscriptionAgreement",
        "domain": {
            "name": "Compute-to-SSI",
            "version": "1",
            "chainId": 1337,
            "verifyingContract": "0x" + "11" * 20,
        },
        "message": {
            name: bytes.fromhex(message[name]) if kind == "bytes32" else int(message[name])
            for kind, name in names
        },
    }
    signable = encode_typed_data(full_message=typed)

    ours = agreement.signing_digest(message, chain_id=1337, registry="0x" + "11" * 20)

    assert ours == keccak(b"\x19\x01" + signable.header + signable.body)


def test_a_task_verifies_only_under_its_collectives_key(key: Secret) -> None:
    task = Task(
        collective=b"c" * 16,
        job=b"j" * 16,
        round=3,
        header=b"h",
        manifest=b"m" * 32,
        requirement=b"r" * 32,
        checkpoint=b"k" * 32,
        rate=10**16,
        expires=9,
    )
    body, signature = task.sign(key)

    assert Task.verify(body, signature, signing.public_key(key)) == task
    with pytest.raises(BadSignature):
        Task.verify(body, signature, signing.public_key(Secret(b"\x01" * 32)))


@given(st.binary(max_size=200))
def test_a_task_decoder_fails_only_by_name(data: bytes) -> None:
    with pytest.raises(TermsError):
        Task.parse(data)


def test_a_permit_survives_its_document() -> None:
    permit = Permit(
        collective_id=AGREED["collective_id"],
        collective_key="01" * 32,
        name="n",
        terms_hash="02" * 32,
        requirement_hash="03" * 32,
        subscription_key="04" * 32,
        agreement_hash="05" * 32,
        manifests=("06" * 32,),
        algorithm_class=None,
        notice_seconds=5,
        silence="with",
        rate=5 * 10**15,
        bucket_min=20,
        release_min=100,
        issued=1,
        expires=2,
    )
    document = permit.to_document()

    assert document["rate"] == "5000000000000000"
    assert Permit.parse(json.loads(json.dumps(document))) == permit


def test_an_unknown_field_in_a_document_is_refused() -> None:
    document = Revocation(
        collective_id=AGREED["collective_id"], subscription_key="01" * 32, agreement_hash="02" * 32, created=1
    ).to_document()

    with pytest.raises(TermsError, match="extra"):
        Revocation.parse(document | {"extra": 1})


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("name", "Trials\u202egninrael", "U+202E"),
        ("name", "Trials\nof 2026", "U+000A"),
        ("purpose", "To learn\u200b more", "U+200B"),
        ("not_for", "Nothing\u2066else", "U+2066"),
        ("task_description", "a\x00b", "U+0000"),
    ],
)
def test_what_a_holder_agrees_to_holds_nothing_invisible(terms_values, field, value, code):
    with pytest.raises(TermsError, match=re.escape(code)) as caught:
        build_terms(**terms_values | {field: value})
    assert caught.value.code == "invisible"


def test_lines_and_joiners_are_writing(terms_values):
    family = "\U0001f468\u200d\U0001f469"
    document = build_terms(**terms_values | {"name": f"Families {family}", "task_description": "One\nTwo\n"})
    assert Terms.parse(document).name.endswith(family)


def test_only_a_statement_may_be_longer_than_what_people_write(key: Secret) -> None:
    long = {"lines": ["x" * 1024] * 300}
    assert SignedDocument.sign("epoch", long, key).open("epoch") == long
    with pytest.raises(TermsError, match="256 KiB"):
        SignedDocument.sign("subscription", long, key)
    with pytest.raises(TermsError, match="larger than 65,536 KiB"):
        envelope._digest("epoch", {"lines": ["x" * (1 << 20)] * 64})
