"""What a wallet or an owner may send wrongly: a named refusal with a sentence, never a failure, and nothing changed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from collectives.errors import CollectiveError
from collectives.models import Collective, Subscription
from collectives.services.collectives import propose_terms, register
from tests.apps import cast
from tests.apps.cast import World
from tests.apps.collectives.conftest import Stage
from tests.apps.collectives.wallet import Wallet
from tests.apps.pages.test_permissions import snapshot

Change = Callable[[dict[str, Any]], Any]


def post(stage: Stage, what: str, body: Any) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = f"/api/v1/collectives/{stage.collective.pk}/{what}"
    # An exception that nobody turned into a problem would be raised here.
    return Client().post(url, content, content_type="application/json")


def refused(answer: Any, code: str = "") -> str:
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.content)
    body = answer.json()
    assert answer["Content-Type"] == "application/problem+json"
    assert body["detail"].rstrip().endswith((".", "”")), body
    assert not code or body["code"] == code, body
    return str(body["detail"])


def subscription(stage: Stage, **changes: Any) -> dict[str, Any]:
    return Wallet().subscription(stage.collective.terms.first().document, **changes)


def changed(path: str, value: Any) -> Change:
    def change(envelope: dict[str, Any]) -> dict[str, Any]:
        *way, last = path.split(".")
        at = envelope
        for name in way:
            at = at[name]
        at[last] = value
        return envelope

    return change


ENVELOPES: dict[str, Change] = {
    "a list": lambda e: [e],
    "a word": lambda e: "subscription",
    "null": lambda e: None,
    "empty": lambda e: {},
    "no kind": lambda e: {k: v for k, v in e.items() if k != "kind"},
    "another kind": changed("kind", "permit"),
    "a kind that is a list": changed("kind", []),
    "no document": changed("document", None),
    "a document that is a list": changed("document", []),
    "a document with more": changed("document.more", 1),
    "a document without its version": changed("document.version", None),
    "a version to come": changed("document.version", 99),
    "a key that is none": changed("key", "x"),
    "a key of zeros": changed("key", "00" * 32),
    "a key in capitals": lambda e: e | {"key": e["key"].upper()},
    "a signature that is none": changed("signature", "x"),
    "a signature of zeros": changed("signature", "00" * 64),
    "a fraction": changed("document.created", 0.5),
    "a number beyond all": changed("document.created", 10**40),
    "a text that is no text": changed("document.subscription_key", "\ud800"),
    "a zero byte": changed("document.subscription_key", "\x00"),
    "an id that is a list": changed("document.collective_id", []),
    "deep": lambda e: json.loads("[" * 90 + "]" * 90),
}


@pytest.mark.parametrize("name", ENVELOPES)
@pytest.mark.parametrize("what", ["subscriptions", "revocations", "notice-answers"])
def test_an_envelope_that_cannot_be(stage: Stage, what: str, name: str) -> None:
    good = {
        "subscriptions": lambda: subscription(stage),
        "revocations": lambda: stage.wallets[0].revocation(stage.collective.pk),
        "notice-answers": lambda: stage.wallets[0].answer(stage.collective.pk, stage.admission.pk, "with"),
    }[what]()
    body = ENVELOPES[name](json.loads(json.dumps(good)))
    before = snapshot()
    refused(post(stage, what, body))
    assert snapshot() == before


BODIES = {
    "nothing": b"",
    "deep": b"[" * 100_000,
    "deep and whole": b"[" * 100_000 + b"]" * 100_000,
    "half": b'{"kind": ',
    "not UTF-8": b'{"kind": "\xff"}',
    "NaN": b'{"kind": NaN}',
    "too long a number": b'{"kind": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("what", ["subscriptions", "revocations", "notice-answers"])
def test_a_body_that_is_not_json(stage: Stage, what: str, name: str) -> None:
    before = snapshot()
    refused(post(stage, what, BODIES[name]))
    assert snapshot() == before


def test_the_same_subscription_again_gets_the_same_permit_and_another_one_a_refusal(stage: Stage) -> None:
    wallet = Wallet()
    terms = stage.collective.terms.first().document
    envelope = wallet.subscription(terms)
    first = post(stage, "subscriptions", envelope)
    assert first.status_code == 201
    before = snapshot()
    again = post(stage, "subscriptions", envelope)
    assert again.json() == first.json()
    said = refused(post(stage, "subscriptions", wallet.subscription(terms)), "already_subscribed")
    assert said
    assert snapshot() == before


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"created": int(time.time()) - 3600}, "clock"),
        ({"created": int(time.time()) + 3600}, "clock"),
        ({"terms_hash": "11" * 32}, "malformed"),
        ({"requirement_hash": "11" * 32}, "malformed"),
        ({"collective_id": str(cast.uuid_of_nobody())}, "wrong_collective"),
        ({"subscription_key": "11" * 32}, "wrong_key"),
        ({"agreement_signature": "11" * 65}, "bad_agreement_signature"),
        ({"cross_signature": "11" * 65}, "bad_agreement_signature"),
        ({"agreed": {"rate": "1"}}, "wrong_agreement"),
        ({"agreed": {"validFrom": 1, "validUntil": 2}}, "wrong_agreement"),
        ({"agreed": {"validUntil": int(time.time()) + 10**9}}, "wrong_agreement"),
    ],
)
def test_a_signed_subscription_that_does_not_fit(stage: Stage, changes: dict[str, Any], code: str) -> None:
    before = snapshot()
    refused(post(stage, "subscriptions", subscription(stage, **changes)), code)
    assert snapshot() == before


def test_terms_that_have_changed_are_to_be_reviewed_again(stage: Stage) -> None:
    late = subscription(stage)
    propose_terms(actor=stage.alice, collective=stage.collective, rate=10**16)
    before = snapshot()
    answer = post(stage, "subscriptions", late)
    assert answer.status_code == 409
    assert "Review the current ones and subscribe again" in refused(answer, "stale_terms")
    assert snapshot() == before


def test_an_answer_that_was_lost_is_given_again_whatever_has_changed_since(stage: Stage) -> None:
    envelope = subscription(stage)
    first = post(stage, "subscriptions", envelope).json()
    propose_terms(actor=stage.alice, collective=stage.collective, rate=10**16)
    assert post(stage, "subscriptions", envelope).json() == first
    suspended = {"status": Collective.Status.SUSPENDED, "status_reason": "It is looked at."}
    Collective.objects.filter(pk=stage.collective.pk).update(**suspended)
    assert post(stage, "subscriptions", envelope).json() == first
    refused(post(stage, "subscriptions", subscription(stage)), "suspended")
    Subscription.objects.update(status=Subscription.Status.REVOKED)
    refused(post(stage, "subscriptions", envelope), "already_subscribed")


def test_new_terms_hold_for_the_next_subscription(stage: Stage) -> None:
    # What is remembered of the terms is that of their version.
    post(stage, "subscriptions", subscription(stage))
    propose_terms(actor=stage.alice, collective=stage.collective, rate=10**16)
    permit = post(stage, "subscriptions", subscription(stage)).json()
    newest = stage.collective.terms.order_by("-version").first()
    assert newest.version == 2
    assert (permit["document"]["terms_hash"], permit["document"]["rate"]) == (newest.hash, str(10**16))


def test_terms_that_say_the_same_are_not_signed_again(stage: Stage) -> None:
    before = snapshot()
    with pytest.raises(CollectiveError, match="as they stand") as caught:
        propose_terms(
            actor=stage.alice,
            collective=stage.collective,
            rate=int(stage.collective.terms.first().document["rate"]),
        )
    assert caught.value.code == "nothing_changed"
    assert snapshot() == before


def test_two_collectives_do_not_share_a_name(stage: Stage) -> None:
    document, before = stage.collective.terms.first().document, snapshot()
    with pytest.raises(CollectiveError) as caught:
        register(
            actor=stage.alice,
            name=f" {stage.collective.name.upper()} ",
            purpose="Another one",
            task_description="Another one",
            requirement=document["requirement"],
            rate=10**15,
        )
    assert caught.value.code == "name_taken"
    assert snapshot() == before
    other = register(
        actor=stage.alice,
        name="A name of its own",
        purpose="Another one",
        task_description="Another one",
        requirement=document["requirement"],
        rate=10**15,
    )
    before = snapshot()
    with pytest.raises(CollectiveError) as caught:
        propose_terms(actor=stage.alice, collective=other, name=stage.collective.name.lower())
    assert caught.value.code == "name_taken"
    assert snapshot() == before
    assert propose_terms(actor=stage.alice, collective=other, name="a name of its own").version == 2


def test_an_unknown_collective_is_not_there(stage: Stage) -> None:
    url = f"/api/v1/collectives/{cast.uuid_of_nobody()}"
    before = snapshot()
    assert "no such collective" in refused(Client().get(url), "unknown_collective")
    assert "no such collective" in refused(Client().get(f"{url}/terms"), "unknown_collective")
    refused(Client().post(f"{url}/subscriptions", subscription(stage), content_type="application/json"))
    assert Client().get("/api/v1/collectives/not-an-id").status_code == 404
    assert snapshot() == before


def test_nobody_revokes_or_answers_for_another(stage: Stage) -> None:
    mine, other = stage.wallets[0], Wallet()
    other.key = mine.key
    before = snapshot()
    refused(post(stage, "revocations", other.revocation(stage.collective.pk)), "wrong_key")
    refused(post(stage, "notice-answers", other.answer(stage.collective.pk, stage.admission.pk, "leave")))
    refused(post(stage, "notice-answers", mine.answer(stage.collective.pk, stage.admission.pk, "perhaps")))
    refused(post(stage, "notice-answers", mine.answer(stage.collective.pk, cast.uuid_of_nobody(), "with")))
    assert snapshot() == before


# --- the owner's forms ------------------------------------------------------------------------------------


@pytest.fixture
def world(db: None) -> World:
    return cast.world()


def terms_form(**changes: Any) -> dict[str, Any]:
    return (
        cast.registration()
        | {
            "field-TOTAL_FORMS": "1",
            "field-INITIAL_FORMS": "0",
            "field-0-name": "hours",
            "field-0-title": "Hours of sleep",
            "field-0-kind": "number",
            "field-0-low": "0",
            "field-0-high": "24",
            "field-0-needed": "on",
        }
        | changes
    )


def schema(**changes: Any) -> dict[str, Any]:
    return {"source": "json", "schema": json.dumps(cast.REQUIREMENT | changes)}


TERMS: dict[str, tuple[dict[str, Any], str]] = {
    "a rate that is in no tier": ({"rate": str(4 * 10**15)}, "Choose one of the listed rates"),
    "a rate in words": ({"rate": "much"}, "there is no much"),
    "too short a notice": ({"notice_seconds": "0"}, "Choose one of the listed periods"),
    "minima below the safe ones": (
        {"release_min": "20", "bucket_min": "5"},
        "At least 100 wallets; you wrote 20.",
    ),
    "minima in words": ({"bucket_min": "few"}, "Write a whole number such as 38."),
    "an unknown policy": ({"order_policy": "all"}, "is not one of the available choices"),
    "an unknown source": ({"source": "csv"}, "is not one of the available choices"),
    "a range that is not finite": ({"field-0-high": "inf"}, "inf is no number that can be used"),
    "a range in words": ({"field-0-low": "low"}, "Field 1, Least value</a>: Write a number such as"),
    "a zero byte": ({"name": "a\x00b"}, "Null characters are not allowed."),
    "a table that is not there": ({"field-TOTAL_FORMS": ""}, "did not arrive whole"),
    "a table of words": ({"field-TOTAL_FORMS": "some"}, "did not arrive whole"),
    "no schema": ({"source": "json", "schema": ""}, "is not JSON"),
    "a deep schema": ({"source": "json", "schema": "[" * 50_000}, ""),
    "half a schema": ({"source": "json", "schema": '{"type": '}, "is not JSON: look at line 1"),
    "a schema with a constant": ({"source": "json", "schema": '{"minimum": NaN}'}, "NaN is no number"),
    "a schema without fields": (schema(properties={}), ""),
    "a schema with a pattern": (
        schema(properties={"a": {"type": "string", "pattern": ".*"}}),
        "pattern",
    ),
    "a schema with twisted ranges": (
        schema(properties={"age": {"type": "integer", "minimum": 5, "maximum": 1}}, required=["age"]),
        "",
    ),
    "a schema with an empty list": (schema(properties={"a": {"enum": []}}, required=["a"]), ""),
    "a schema with a text that is no text": (
        {"source": "json", "schema": json.dumps(cast.REQUIREMENT | {"title": "\ud800"})},
        "",
    ),
    "a schema with a number beyond all": (
        schema(properties={"a": {"type": "number", "minimum": 0, "maximum": 10**400}}, required=["a"]),
        "10000000000000000000000… is no number that can be used",
    ),
    "a schema with a float beyond all": (
        {"source": "json", "schema": '{"maximum": 1e400}'},
        "1e400 is no number",
    ),
    "a schema that says a thing twice": ({"source": "json", "schema": '{"a": 1, "a": 2}'}, "stands twice"),
}


@pytest.mark.parametrize("name", TERMS)
@pytest.mark.parametrize("page", ["collective-register", "collective-propose"])
def test_terms_that_cannot_be(world: World, page: str, name: str) -> None:
    changes, words = TERMS[name]
    args = [world.collective.pk] if page == "collective-propose" else []
    client = world.client("alice")
    before = snapshot()
    answer = client.post(reverse(page, args=args), terms_form(**changes))
    text = answer.content.decode()
    assert answer.status_code == 422, text[-500:]
    assert words in text
    assert 'class="errors"' in text or 'class="error"' in text
    assert snapshot() == before


@pytest.mark.parametrize("name", TERMS)
def test_the_preview_of_terms_that_cannot_be(world: World, name: str) -> None:
    client = world.client("alice")
    before = snapshot()
    assert client.post(reverse("collective-preview"), terms_form(**TERMS[name][0])).status_code == 200
    assert snapshot() == before


@pytest.mark.parametrize("rows", ["some", "-3", "", "99999999999999999999999"])
def test_more_fields_of_a_table_of_words(world: World, rows: str) -> None:
    body = terms_form(more_rows="1") | {"field-TOTAL_FORMS": rows}
    assert world.client("alice").post(reverse("collective-register"), body).status_code in (200, 422)


MANIFESTS: dict[str, tuple[str, str]] = {
    "nothing": ("", "Give the manifest once"),
    "half": ("{", "is not JSON: look at line 1"),
    "deep": ("[" * 50_000, ""),
    "a constant": (json.dumps(cast.MANIFEST | {"width_in": float("nan")}), ""),
    "a list": ("[]", "must be a JSON object"),
    "empty": ("{}", "version"),
    "an unknown operator": (json.dumps(cast.MANIFEST | {"layers": [{"op": "conv"}]}), "conv"),
    "an unknown key": (json.dumps(cast.MANIFEST | {"code": "import os"}), "code"),
    "an unknown loss": (json.dumps(cast.MANIFEST | {"loss": "none"}), "loss"),
    "a size beyond all": (json.dumps(cast.MANIFEST | {"width_in": 10**9}), "width_in"),
    "a number beyond all": (json.dumps(cast.MANIFEST | {"width_in": 10**400}), ""),
    "a fraction": (json.dumps(cast.MANIFEST | {"width_in": 2.5}), "width_in"),
    "a text that is no text": (json.dumps(cast.MANIFEST | {"name": "\ud800"}), ""),
    "inputs that are a word": (json.dumps(cast.MANIFEST | {"inputs": "age"}), "inputs"),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_cannot_be(world: World, name: str) -> None:
    text, words = MANIFESTS[name]
    client = world.client("aron")
    before = snapshot()
    answer = client.post(reverse("algorithm-submit"), {"text": text})
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert snapshot() == before


@pytest.mark.parametrize(
    "changes", [{"algorithm": "999999"}, {"algorithm": "x"}, {"algorithm": ""}, {"reason": ""}]
)
def test_an_announcement_that_cannot_be(world: World, changes: dict[str, str]) -> None:
    body = {"algorithm": str(world.algorithm.pk), "reason": "Again."} | changes
    client = world.client("alice")
    before = snapshot()
    answer = client.post(reverse("collective-announce", args=[world.collective.pk]), body)
    assert answer.status_code == 422
    assert snapshot() == before


def test_the_same_algorithm_is_not_announced_twice(world: World) -> None:
    client = world.client("alice")
    before = snapshot()
    answer = client.post(
        reverse("collective-announce", args=[world.collective.pk]),
        {"algorithm": str(world.algorithm.pk), "reason": "Again."},
    )
    assert answer.status_code in (200, 422)
    assert snapshot() == before
