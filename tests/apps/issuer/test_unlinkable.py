"""Presence without linking, whole: a real desk that attests and revokes, a real wallet, a real collective, over HTTP on loopback."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from attestation.desk import registries, sealing, services, unlinkable
from attestation.desk.errors import DeskError
from attestation.desk.models import Issuer
from attestation.desk.views import offer_link
from attestation.formats import registry
from attestation.formats.definition import open_definition
from collectives.errors import CollectiveError
from collectives.models import PresenceStatement, Subscription
from tests.apps import cast
from tests.apps.collectives.wallet import Wallet
from tests.apps.issuer.conftest import Collector
from tests.apps.issuer.test_presence import (
    FIELD,
    PERSON,
    _joining,
    _save,
    asking,
    attest,
    desk,
    subscribe,
    with_wallet,
)
from tests.unit.credentials.test_predicates import DID, KEY, MADE
from wallets.agent import attested, restating
from wallets.agent import unlinkable as wallets_side
from wallets.agent.agent import WalletAgent
from wallets.agent.errors import BadData, WalletError

__all__ = ["desk", "with_wallet"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "issuer"])


@pytest.fixture
def ready(desk: Issuer, monkeypatch: pytest.MonkeyPatch) -> Issuer:
    """A desk with the keys of tests/unit/credentials/definition.json, and small registries; fresh ones of use take seconds."""
    monkeypatch.setattr(registry, "SIZE", 16)
    ident = uuid.uuid4()
    kept = json.dumps(MADE["kept"]).encode()
    return Issuer.objects.create(
        id=ident,
        account="somebody",
        name="School",
        did=DID,
        sealed_key=sealing.seal(KEY.reveal(), ident.bytes),
        definition=MADE["token"],
        sealed_definition=sealing.seal(kept, ident.bytes + b"definition"),
    )


def test_a_real_wallet_proves_without_linking_and_a_proof_serves_nobody_else(
    ready: Issuer, with_wallet: Any, live_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    required = asking(ready, "unlinkable")
    required["properties"]["skills"] |= {"x-assurance": "unlinkable", "x-issuers": [ready.did]}
    alice = cast.account("alice")
    one = cast.register(alice, requirement=required)
    other = cast.register(alice, name="Another", requirement=required)
    values = {FIELD: PERSON[FIELD], "skills": PERSON["skills"]}
    offer = services.attest(issuer=ready, label="17", requirement=required, values=values, days=30)
    with_wallet(lambda agent: _save(agent, PERSON))
    with pytest.raises(BadData, match="needs a credential from did:key"):
        with_wallet(_joining(one, live_server.url))
    link = attested.OfferLink.parse(offer_link(offer))
    _, added, replaced = with_wallet(lambda agent: attested.receive(agent, link, replace=False))
    assert added == replaced == []

    with_wallet(_joining(one, live_server.url))
    with_wallet(_joining(other, live_server.url))
    first, second = (
        found.document["document"]["presence"]["attestations"]
        for found in Subscription.objects.order_by("pk")
    )
    assert [json.loads(text)["field"] for text in first] == ["peer_review", "skills"]
    assert not set(first) & set(second)
    assert all(str(PERSON["skills"][0]["measurements"][0]) + "," not in text for text in first)

    stolen = {"level": "attested", "commitment": "ab" * 32, "record_count": 1, "attestations": first}
    with pytest.raises(CollectiveError) as raised:
        subscribe(one, Wallet().subscription(one.terms.first().document, presence=stolen))
    assert raised.value.code == "bad_signature"

    later = time.time() + registry.LIFETIME
    with pytest.raises(CollectiveError) as raised, monkeypatch.context() as patched:
        patched.setattr("collectives.services.presence.time.time", lambda: later)
        subscribe(one, Wallet().subscription(one.terms.first().document, presence=stolen))
    assert raised.value.code == "status_unknown"  # the list it was proven against is too old

    # the issuer revokes: the next statement cannot be proven, and the holder sees why
    services.revoke(credential=offer, reason="left")
    (name,) = [h.name for h in with_wallet(attested.every)]
    with_wallet(lambda agent: _save(agent, {"manager_evaluation": 3}))
    told = with_wallet(restating.restate_all)
    assert len(told) == 2
    assert all("revoked" in sentence for sentence in told.values())
    assert with_wallet(lambda agent: attested.one(agent, name)).status == "revoked"
    assert not PresenceStatement.objects.exists()


def test_a_place_is_taken_once_and_a_full_registry_is_followed_by_another(ready: Issuer) -> None:
    wallet, seen, numbers = Collector(), set(), []
    for person in range(9):
        made = attest(ready, {FIELD: 7, "manager_evaluation": 8})
        call = wallet.call(sealing.code_for(made.pk.bytes))
        for _ in range(2):  # an answer was lost
            answer = unlinkable.issue(**call, requests={})
        assert answer["credentials"] == {}
        made.refresh_from_db()
        assert sorted(made.places) == ["manager_evaluation", FIELD]
        seen |= {(made.registry.number, place) for place in made.places.values()}
        numbers.append(made.registry.number)
        assert len(seen) == 2 * (person + 1)
    assert numbers == [1] * 7 + [2] * 2
    assert all(1 <= place < 16 for _, place in seen)

    services.revoke(credential=made, reason="")
    definition = open_definition(ready.definition, issuers=[ready.did])
    for number, gone in ((1, set()), (2, set(made.places.values()))):
        answer = Client().get(reverse("issuer-revocations", args=[ready.pk, number]))
        public, _ = registries.opened(ready.registries.get(number=number), definition)
        listed = registry.open_list(answer.text, registry=public, now=int(time.time()))
        assert {place for place in range(16) if listed.revoked(place)} == gone
        assert "max-age=60" in answer["Cache-Control"]
        assert public.uri.endswith(reverse("issuer-revocations", args=[ready.pk, number]))
        tails = Client().get(reverse("issuer-tails", args=[ready.pk, number]))
        registry.witness(public, listed, 1, tails.content)
    assert Client().get(reverse("issuer-revocations", args=[ready.pk, 3])).status_code == 404
    assert Client().get(reverse("issuer-tails", args=[uuid.uuid4(), 1])).status_code == 404


def test_where_the_list_cannot_be_read_nothing_is_proven(ready: Issuer, with_wallet: Any) -> None:
    found = attest(ready)
    link = attested.OfferLink.parse(offer_link(found))
    with_wallet(lambda agent: attested.receive(agent, link, replace=True))

    async def prove(agent: WalletAgent) -> Any:
        (held,) = await attested.every(agent)
        chosen = {FIELD: held.unlinkable}
        return await wallets_side.prove(
            agent, chosen, asking(ready, "unlinkable"), int(time.time()), "ab" * 32
        )

    assert len(with_wallet(prove)) == 1
    ready.registries.update(number=77)  # where it was, there is nothing
    with pytest.raises(WalletError) as raised:
        with_wallet(prove)
    assert raised.value.code == "status_unknown"


def test_a_desk_without_such_keys_offers_none(desk: Issuer) -> None:
    found = attest(desk)
    wallet = Collector()
    call = wallet.call(sealing.code_for(found.pk.bytes))
    assert set(services.collect(**call)) == {"credential"}
    with pytest.raises(DeskError, match="no such field"):
        unlinkable.issue(**call, requests={})


@pytest.mark.parametrize(
    "requests", [{"job_title": {}}, {FIELD: {}}, {FIELD: 5}, {FIELD: {"offer": {}, "request": {}}}]
)
def test_a_request_that_does_not_belong_is_refused(ready: Issuer, requests: dict[str, Any]) -> None:
    found = attest(ready)
    with pytest.raises(DeskError) as raised:
        unlinkable.issue(**Collector().call(sealing.code_for(found.pk.bytes)), requests=requests)
    assert raised.value.code == "bad_request"
