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
from attestation.formats import definition, jws, predicates
from attestation.formats.definition import make_definition, open_definition
from attestation.formats.did_key import did_of
from attestation.formats.errors import AttestationError
from attestation.formats.registry import Revocations, issue_list, make_registry, open_list, open_registry

MADE = json.loads((Path(__file__).parent / "definition.json").read_text("utf-8"))
KEY = Secret(bytes(range(32)))
DID = did_of(signing.public_key(KEY))
DEFINITION = open_definition(MADE["token"], issuers=[DID])
NOW = 1_800_000_000
RULE, NONCE = "ab" * 32, "cd" * 32
REGISTRY, REGISTRY_KEPT, TAILS = make_registry(
    KEY, DEFINITION, number=1, uri="https://issuer.example/registry/1", size=16
)


def listed(*revoked: int, now: int = NOW) -> Revocations:
    """What the issuer says is revoked."""
    token = issue_list(KEY, DEFINITION, REGISTRY, REGISTRY_KEPT, revoked=revoked, now=now)
    return open_list(token, registry=REGISTRY, now=now)


NONE = listed()
AGAINST: dict[str, Any] = {"registry": REGISTRY, "listed": NONE}


class Holder:
    """A wallet with one credential of this kind."""

    def __init__(
        self, rule: str = RULE, count: int = 6, expires: int = NOW + 10 * predicates.DAY, place: int = 5
    ) -> None:
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
            registry=REGISTRY,
            registry_kept=REGISTRY_KEPT,
            place=place,
            now=NOW,
        )
        self.requested, self.metadata = requested, metadata
        self.credential = predicates.receive(DEFINITION, self.sent, metadata, self.link, REGISTRY)

    def prove(self, **changes: Any) -> str:
        given: dict[str, Any] = {"least": 5, "created": NOW, "nonce": NONCE, **AGAINST, "tails": TAILS}
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
        **AGAINST,
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
        text = predicates.prove(
            DEFINITION,
            holder.credential,
            other,
            least=5,
            created=NOW,
            nonce=NONCE,
            tails=TAILS,
            **AGAINST,
        )
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
        predicates._asked(DEFINITION, NONE, 100, NOW, NONCE),
        {DEFINITION.schema_id: json.dumps(dict(DEFINITION.schema))},
        {DEFINITION.id: json.dumps(dict(DEFINITION.keys))},
        {REGISTRY.id: json.dumps(dict(REGISTRY.value))},
        [json.dumps(dict(NONE.value))],
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
    assert refused(lambda: open_definition(MADE["token"], issuers=[])) == "untrusted_issuer"
    said = jws.parse(jws.decode(MADE["token"].split(".")[1]))
    other = signing.generate(os.urandom)
    forged = jws.sign(other, {"typ": definition.TYP}, said)
    assert refused(lambda: open_definition(forged, issuers=[DID])) == "bad_signature"
    for wrong in (
        {"schema": {}},
        {"cred_def": {"type": "X"}},
        {"schema": said["schema"] | {"attrNames": ["name"]}},
    ):
        token = jws.sign(KEY, {"typ": definition.TYP}, said | wrong)
        assert refused(lambda token=token: open_definition(token, issuers=[DID])) == "malformed"


@pytest.mark.timeout(200)
@pytest.mark.long
def test_fresh_keys_work() -> None:
    fresh, kept = make_definition(KEY)
    registry, registry_kept, tails = make_registry(KEY, fresh, number=1, uri="https://x.example/1", size=16)
    none = open_list(
        issue_list(KEY, fresh, registry, registry_kept, revoked=[], now=NOW), registry=registry, now=NOW
    )
    link = predicates.new_link_secret()
    offered = predicates.offer(fresh, kept)
    requested, metadata = predicates.request(fresh, offered, link, "e")
    sent = predicates.issue(
        fresh,
        kept,
        offered=offered,
        requested=requested,
        rule=RULE,
        count=1,
        expires=NOW + 99,
        registry=registry,
        registry_kept=registry_kept,
        place=1,
        now=NOW,
    )
    held = predicates.receive(fresh, sent, metadata, link, registry)
    given: dict[str, Any] = {"least": 1, "created": NOW - predicates.DAY, "nonce": NONCE}
    given |= {"registry": registry, "listed": none}
    text = predicates.prove(fresh, held, link, tails=tails, **given)
    predicates.verify(text, definition=fresh, rule=RULE, **given)
    assert refused(lambda: predicates.verify(text, definition=DEFINITION, rule=RULE, **given)) == "malformed"


# --- revocation --------------------------------------------------------------------------------------------------------------------


def test_a_revoked_credential_proves_nothing_and_the_others_go_on(holder: Holder, proof: str) -> None:
    neighbours, revoked = [Holder(place=4), Holder(place=6)], listed(5, now=NOW + 400)
    assert refused(lambda: holder.prove(listed=revoked)) == "revoked"
    for other in neighbours:
        check(other.prove(listed=revoked), listed=revoked)
    assert refused(lambda: check(proof, listed=revoked)) == "malformed"  # it is about the list before


def test_a_proof_from_before_cannot_be_passed_off_as_one_of_now(holder: Holder) -> None:
    """The same seconds, the list of before and the one after: what the proof shows is the accumulator itself."""
    before, after = listed(3, now=NOW), listed(3, 5, now=NOW)
    text = holder.prove(listed=before)
    check(text, listed=before)
    assert refused(lambda: check(text, listed=after)) == "bad_signature"
    later = listed(3, 5, now=NOW + 300)
    changed = json.loads(text)
    changed["identifiers"][0]["timestamp"] = later.timestamp
    assert refused(lambda: check(json.dumps(changed), listed=later)) == "bad_signature"


def test_without_the_part_about_revocation_there_is_no_proof(proof: str) -> None:
    for part in (None, {}, []):
        changed = json.loads(proof)
        changed["proof"]["proofs"][0]["non_revoc_proof"] = part
        assert refused(lambda changed=changed: check(json.dumps(changed))) in {"malformed", "bad_signature"}
    for hidden in ({"rev_reg_id": None}, {"timestamp": None}, {"rev_reg_id": None, "timestamp": None}):
        changed = json.loads(proof)
        changed["identifiers"][0] |= hidden
        changed["proof"]["proofs"][0]["non_revoc_proof"] = None
        assert refused(lambda changed=changed: check(json.dumps(changed))) == "malformed"


def test_another_registry_of_the_same_issuer_does_not_count(holder: Holder, proof: str) -> None:
    other, kept, tails = make_registry(KEY, DEFINITION, number=2, uri="https://issuer.example/2", size=16)
    token = issue_list(KEY, DEFINITION, other, kept, revoked=[], now=NOW)
    theirs = open_list(token, registry=other, now=NOW)
    assert refused(lambda: check(proof, registry=other, listed=theirs)) == "malformed"
    for wrong in ({"registry": other, "listed": theirs, "tails": tails}, {"tails": tails}, {"tails": b""}):
        assert refused(lambda wrong=wrong: check(holder.prove(**wrong), **AGAINST)) in {
            "malformed",
            "bad_signature",
        }
    assert (
        refused(
            lambda: predicates.receive(
                DEFINITION, {**holder.sent, "rev_reg_id": other.id}, holder.metadata, holder.link, REGISTRY
            )
        )
        == "malformed"
    )


@pytest.mark.parametrize("place", [0, -1, 16, 17])
def test_there_is_no_other_place(place: int) -> None:
    assert refused(lambda: Holder(place=place)) == "malformed"


def test_everybody_who_asks_within_five_minutes_gets_the_same_list() -> None:
    tokens = {
        issue_list(KEY, DEFINITION, REGISTRY, REGISTRY_KEPT, revoked=[7, 2], now=now)
        for now in (NOW, NOW + 1, NOW + 299)
    }
    assert len(tokens) == 1
    later = issue_list(KEY, DEFINITION, REGISTRY, REGISTRY_KEPT, revoked=[2, 7], now=NOW + 300)
    assert later not in tokens
    assert open_list(later, registry=REGISTRY, now=NOW + 300 + 899).revoked(7)


def test_a_list_that_cannot_be_relied_on_is_no_yes() -> None:
    good = NONE.token
    said = jws.parse(jws.decode(good.split(".")[1]))
    signed = {"typ": "anoncreds-revocations+jwt"}
    stranger = signing.generate(os.urandom)
    for token, now in (
        (good, NOW + 900),
        (good, NOW - 100),
        ("", NOW),
        ("a.b.c", NOW),
        ("x" * 70_000, NOW),
        (jws.sign(stranger, signed, said), NOW),
        (jws.sign(KEY, {"typ": "JWT"}, said), NOW),
        (jws.sign(KEY, signed, said | {"exp": NOW + 10_000}), NOW),
        (jws.sign(KEY, signed, said | {"sub": "another"}), NOW),
        (jws.sign(KEY, signed, said | {"list": {}}), NOW),
        (jws.sign(KEY, signed, said | {"list": said["list"] | {"timestamp": NOW - 60}}), NOW),
        (jws.sign(KEY, signed, said | {"list": said["list"] | {"revocationList": [0]}}), NOW),
    ):
        assert refused(lambda t=token, n=now: open_list(t, registry=REGISTRY, now=n)) == "status_unknown"


def test_a_registry_is_its_issuers_for_these_keys() -> None:
    said = jws.parse(jws.decode(REGISTRY.token.split(".")[1]))
    signed = {"typ": "anoncreds-registry+jwt"}
    assert open_registry(jws.sign(KEY, signed, said), definition=DEFINITION) == REGISTRY
    forged = jws.sign(signing.generate(os.urandom), signed, said)
    assert refused(lambda: open_registry(forged, definition=DEFINITION)) == "bad_signature"
    inner = said["registry"]
    for wrong in (
        {"registry": None},
        {"registry": {}},
        {"sub": "another"},
        {"uri": 5},
        {"registry": inner | {"credDefId": "another"}},
        {"registry": inner | {"value": inner["value"] | {"maxCredNum": 2}}},
        {"registry": inner | {"value": inner["value"] | {"maxCredNum": 10**6}}},
    ):
        token = jws.sign(KEY, signed, said | wrong)
        assert refused(lambda token=token: open_registry(token, definition=DEFINITION)) == "malformed"
