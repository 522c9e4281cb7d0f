"""Presence without linking: what a proof shows, that it serves one statement only, and that two of them have nothing in common.

definition.json holds an issuer's keys made once by `make_definition`, because finding their primes takes tens of seconds.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anoncreds
import pytest

from aggregation.wire import signing
from aggregation.wire.secret import Secret
from attestation.formats import jws, predicates
from attestation.formats.did_key import did_of
from attestation.formats.errors import AttestationError

MADE = json.loads((Path(__file__).parent / "definition.json").read_text("utf-8"))
KEY = Secret(bytes(range(32)))
DID = did_of(signing.public_key(KEY))
DEFINITION = predicates.open_definition(MADE["token"], issuers=[DID])
NOW = 1_800_000_000
RULE, NONCE = "ab" * 32, "cd" * 32


class Holder:
    """A wallet with one credential of this kind."""

    def __init__(self, rule: str = RULE, count: int = 6, expires: int = NOW + 10 * predicates.DAY) -> None:
        self.link = predicates.new_link_secret()
        offered = predicates.offer(DEFINITION, MADE["kept"])
        requested, metadata = predicates.request(DEFINITION, offered, self.link, os.urandom(16).hex())
        self.sent = predicates.issue(
            DEFINITION,
            MADE["kept"],
            offered=offered,
            requested=requested,
            rule=rule,
            count=count,
            expires=expires,
            now=NOW,
        )
        self.requested, self.metadata = requested, metadata
        self.credential = predicates.receive(DEFINITION, self.sent, metadata, self.link)

    def prove(self, **changes: Any) -> str:
        given: dict[str, Any] = {"least": 5, "created": NOW, "nonce": NONCE}
        return predicates.prove(DEFINITION, self.credential, self.link, **(given | changes))


@pytest.fixture(scope="module")
def holder() -> Holder:
    return Holder()


@pytest.fixture(scope="module")
def proof(holder: Holder) -> str:
    return holder.prove()


def check(text: str, **changes: Any) -> None:
    given: dict[str, Any] = {
        "definition": DEFINITION,
        "rule": RULE,
        "least": 5,
        "created": NOW,
        "nonce": NONCE,
    }
    predicates.verify(text, **(given | changes))


def refused(work: Callable[[], Any]) -> str:
    with pytest.raises(AttestationError) as raised:
        work()
    return raised.value.code


def test_a_proof_shows_the_rule_and_nothing_else(proof: str) -> None:
    check(proof)
    shown = json.loads(proof)["requested_proof"]
    assert list(shown["revealed_attrs"]) == ["rule"]
    assert shown["unrevealed_attrs"] == shown["self_attested_attrs"] == {}
    assert len(proof) < predicates.LARGEST


def test_it_serves_one_statement_on_one_day(proof: str) -> None:
    assert refused(lambda: check(proof, nonce="ce" * 32)) == "bad_signature"
    assert refused(lambda: check(proof, created=NOW + predicates.DAY)) == "fact_missing"
    assert refused(lambda: check(proof, least=6)) == "fact_missing"
    assert refused(lambda: check(proof, least=4)) == "fact_missing"
    assert refused(lambda: check(proof, rule="ac" * 32)) == "fact_missing"
    check(proof, created=NOW - NOW % predicates.DAY)  # the same day


def test_too_few_and_too_old_cannot_be_proven(holder: Holder) -> None:
    assert refused(lambda: holder.prove(least=7)) == "malformed"
    assert refused(lambda: holder.prove(created=NOW + 11 * predicates.DAY)) == "malformed"
    assert refused(lambda: Holder(expires=NOW + predicates.LONGEST + 1)) == "malformed"
    assert refused(lambda: Holder(expires=NOW)) == "malformed"


def test_another_wallets_secret_proves_nothing(holder: Holder) -> None:
    other = predicates.new_link_secret()
    try:
        text = predicates.prove(DEFINITION, holder.credential, other, least=5, created=NOW, nonce=NONCE)
    except AttestationError:
        return
    assert refused(lambda: check(text)) == "bad_signature"


def _strings(value: Any) -> set[str]:
    """Every long text and number in a JSON value."""
    if isinstance(value, dict):
        return set().union(*map(_strings, value.values())) if value else set()
    if isinstance(value, list):
        return set().union(*map(_strings, value)) if value else set()
    text = str(value)
    return {text} if len(text) > 20 else set()


def test_two_proofs_of_one_wallet_have_nothing_in_common_that_two_wallets_have_not(holder: Holder) -> None:
    mine = [_strings(json.loads(holder.prove(nonce=nonce))) for nonce in ("11" * 32, "22" * 32)]
    other = _strings(json.loads(Holder().prove(nonce="33" * 32)))
    assert mine[0] & mine[1] == mine[0] & other
    signature = _strings(holder.credential["signature"])
    assert signature
    assert not signature & (mine[0] | mine[1])
    assert not _strings(holder.requested["blinded_ms"]) & (mine[0] | mine[1])


def test_the_library_alone_would_not_compare_the_bounds(proof: str) -> None:
    """Why `_check_bounds` exists. When this fails the library has learned it; the check stays all the same."""
    alone = anoncreds.Presentation.load(proof).verify(
        predicates._asked(DEFINITION, 100, NOW, NONCE),
        {DEFINITION.schema_id: json.dumps(dict(DEFINITION.schema))},
        {DEFINITION.id: json.dumps(dict(DEFINITION.keys))},
    )
    assert alone
    assert refused(lambda: check(proof, least=100)) == "fact_missing"


def test_bounds_written_over_do_not_verify(proof: str) -> None:
    changed = json.loads(proof)
    changed["proof"]["proofs"][0]["primary_proof"]["ge_proofs"][0]["predicate"]["value"] = 100
    assert refused(lambda: check(json.dumps(changed), least=100)) in {"bad_signature", "malformed"}


CHANGES: list[Callable[[dict[str, Any]], Any]] = [
    lambda p: p["requested_proof"]["revealed_attrs"]["rule"].update(encoded="1"),
    lambda p: p["requested_proof"]["self_attested_attrs"].update(count="9"),
    lambda p: p["requested_proof"]["predicates"].pop("expires"),
    lambda p: p["requested_proof"]["unrevealed_attrs"].update(x={"sub_proof_index": 0}),
    lambda p: p["identifiers"].append(p["identifiers"][0]),
    lambda p: p["identifiers"][0].update(cred_def_id="other"),
    lambda p: p.pop("requested_proof"),
    lambda p: p["proof"]["proofs"].clear(),
    lambda p: p["proof"]["aggregated_proof"].update(c_hash="1"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_proof_is_refused(proof: str, change: Callable[[dict[str, Any]], Any]) -> None:
    changed = copy.deepcopy(json.loads(proof))
    change(changed)
    assert refused(lambda: check(json.dumps(changed))) in {"malformed", "bad_signature", "fact_missing"}


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"requested_proof": 5}', "x" * 70_000, '{"identifiers": [[]]}']
)
def test_any_text_is_refused_by_name(text: str) -> None:
    assert refused(lambda: check(text)) == "malformed"


def test_the_issuers_keys_are_vouched_for_by_its_did() -> None:
    assert refused(lambda: predicates.open_definition(MADE["token"], issuers=[])) == "untrusted_issuer"
    said = jws.parse(jws.decode(MADE["token"].split(".")[1]))
    other = signing.generate(os.urandom)
    forged = jws.sign(other, {"typ": predicates.TYP}, said)
    assert refused(lambda: predicates.open_definition(forged, issuers=[DID])) == "bad_signature"
    for wrong in (
        {"schema": {}},
        {"cred_def": {"type": "X"}},
        {"schema": said["schema"] | {"attrNames": ["name"]}},
    ):
        token = jws.sign(KEY, {"typ": predicates.TYP}, said | wrong)
        assert refused(lambda token=token: predicates.open_definition(token, issuers=[DID])) == "malformed"


@pytest.mark.timeout(200)
def test_fresh_keys_work() -> None:
    definition, kept = predicates.make_definition(KEY)
    link = predicates.new_link_secret()
    offered = predicates.offer(definition, kept)
    requested, metadata = predicates.request(definition, offered, link, "e")
    sent = predicates.issue(
        definition, kept, offered=offered, requested=requested, rule=RULE, count=1, expires=NOW + 99, now=NOW
    )
    held = predicates.receive(definition, sent, metadata, link)
    text = predicates.prove(definition, held, link, least=1, created=NOW - predicates.DAY, nonce=NONCE)
    given = {"rule": RULE, "least": 1, "created": NOW - predicates.DAY, "nonce": NONCE}
    predicates.verify(text, definition=definition, **given)
    assert refused(lambda: predicates.verify(text, definition=DEFINITION, **given)) == "malformed"
