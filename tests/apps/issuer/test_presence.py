"""Presence at the attested level, whole: a real desk, a real wallet, a real collective, over HTTP on loopback."""

from __future__ import annotations

import asyncio
import copy
import os
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from aggregation.wire import signing
from aggregation.wire.secret import Secret
from attestation.desk import sealing, services
from attestation.desk.models import Credential, Issuer
from attestation.desk.views import offer_link
from attestation.formats import credential as sd_jwt
from attestation.formats import facts, jws
from collectives.errors import CollectiveError
from collectives.models import Collective, PresenceStatement, Subscription
from collectives.services import subscriptions
from marketplace.demo.job_performance import job_performance
from marketplace.demo.job_performance import requirement as seed_requirement
from tests.apps import cast
from tests.apps.collectives.wallet import Wallet
from wallets.agent import attested, cli, membership, restating, server, vault
from wallets.agent import credentials as own
from wallets.agent.agent import WalletAgent
from wallets.agent.consent import Consent, Rule
from wallets.agent.errors import BadData, ServerRefused, WalletError
from wallets.agent.keyfile import Argon2Cost, SlotKind
from wallets.agent.messages import HolderPolicy
from wallets.agent.sandbox.launcher import Launcher
from wallets.agent.transport import Transport

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "issuer"])
PERSON = job_performance(people=10).train[0]
FIELD = "peer_review"
PASSPHRASE = Secret(b"correct horse battery")


@pytest.fixture
def desk(transactional_db: None, live_server: Any, settings: Any) -> Issuer:
    settings.SITE_URL = settings.DISTRIBUTOR_URL = live_server.url
    settings.ISSUER_URL = live_server.url + "/issuer"
    return services.open_desk(account="somebody", name="Acme HR")


def asking(desk: Issuer, level: str = "attested") -> dict[str, Any]:
    required = copy.deepcopy(seed_requirement())
    required["properties"][FIELD] |= {"x-assurance": level, "x-issuers": [desk.did]}
    return required


@pytest.fixture
def collective(desk: Issuer) -> Collective:
    return cast.register(cast.account("alice"), requirement=asking(desk))


def attest(desk: Issuer, values: dict[str, Any] | None = None, days: int = 30) -> Credential:
    return services.attest(
        issuer=desk,
        label="no. 17",
        requirement=asking(desk),
        values=values or {FIELD: PERSON[FIELD]},
        days=days,
    )


# --- the collective's side, with a wallet written from the documents -----------------------------------------------------------


class Attested(Wallet):
    """Presents a credential of the desk's own making; `shown` changes what the presentation is made for."""

    def __init__(self, desk: Issuer, **issued: Any) -> None:
        super().__init__()
        self.holder = signing.generate(os.urandom)
        now = int(time.time())
        values: dict[str, Any] = {
            "private": services._private(desk),
            "holder_key": signing.public_key(self.holder),
            "record": {FIELD: 7},
            "facts": {FIELD: facts.rule_id(FIELD, seed_requirement()["properties"][FIELD])},
            "now": now,
            "expires": now + 1000,
            "status_uri": services.status_uri(desk),
            "status_index": 5,
        }
        self.credential = sd_jwt.issue(**(values | issued))

    def envelope(self, terms: dict[str, Any], **shown: Any) -> dict[str, Any]:
        now = int(time.time())
        stated = {
            "collective_id": terms["collective_id"],
            "requirement_hash": terms["requirement_hash"],
            "subscription_key": self.key,
            "commitment": "ab" * 32,
            "created": now,
        }
        made_for = {"audience": terms["collective_id"], "nonce": facts.nonce(**stated), "now": now}
        text = sd_jwt.present(
            self.credential, **({"holder": self.holder, "facts": [FIELD]} | made_for | shown)
        )
        presence = {"level": "attested", "commitment": "ab" * 32, "record_count": 1, "attestations": [text]}
        return self.subscription(terms, presence=presence, created=now)


def subscribe(collective: Collective, envelope: dict[str, Any]) -> dict[str, Any]:
    return subscriptions.subscribe(collective_id=collective.pk, envelope=envelope)


def refused(collective: Collective, envelope: dict[str, Any]) -> str:
    with pytest.raises(CollectiveError) as raised:
        subscribe(collective, envelope)
    assert not Subscription.objects.exists()
    return raised.value.code


def test_a_good_presentation_is_taken_and_discloses_no_value(desk: Issuer, collective: Collective) -> None:
    terms = collective.terms.first().document
    permit = subscribe(collective, Attested(desk).envelope(terms))
    assert permit["document"]["collective_id"] == str(collective.pk)
    (text,) = Subscription.objects.get().document["document"]["presence"]["attestations"]
    assert len(text.split("~")) == 3  # the credential, one fact, the proof


@pytest.mark.parametrize(
    ("issued", "shown", "code"),
    [
        ({}, {"audience": "12345678-1234-4234-8234-123456789012"}, "wrong_audience"),
        ({}, {"nonce": "00" * 32}, "wrong_nonce"),
        ({}, {"now": int(time.time()) - 5000}, "stale_proof"),
        ({"now": 1, "expires": 2}, {}, "expired"),
        ({"private": signing.generate(os.urandom)}, {}, "untrusted_issuer"),
        ({"facts": {FIELD: "00" * 32}}, {}, "fact_missing"),
        ({}, {"facts": []}, "fact_missing"),
        ({}, {"holder": signing.generate(os.urandom)}, "wrong_key_binding"),
        ({"status_uri": "http://issuer.example/status"}, {}, "status_unknown"),
        ({"status_uri": "http://127.0.0.1:9/status"}, {}, "status_unknown"),
    ],
)
def test_what_is_wrong_with_a_presentation_is_named_and_nothing_is_kept(
    desk: Issuer, collective: Collective, issued: dict[str, Any], shown: dict[str, Any], code: str
) -> None:
    terms = collective.terms.first().document
    assert refused(collective, Attested(desk, **issued).envelope(terms, **shown)) == code


def test_a_presentation_made_for_one_subscription_serves_no_other(
    desk: Issuer, collective: Collective
) -> None:
    terms, thief = collective.terms.first().document, Wallet()
    stolen = Attested(desk).envelope(terms)["document"]["presence"]
    assert refused(collective, thief.subscription(terms, presence=stolen)) == "wrong_nonce"


def test_a_lower_level_than_asked_is_refused(desk: Issuer, collective: Collective) -> None:
    terms = collective.terms.first().document
    assert refused(collective, Wallet().subscription(terms)) == "presence_level"
    bare = {"level": "attested", "commitment": "ab" * 32, "record_count": 1, "attestations": []}
    assert refused(collective, Wallet().subscription(terms, presence=bare)) == "fact_missing"


def test_a_value_is_not_taken_even_when_it_is_sent(desk: Issuer, collective: Collective) -> None:
    wallet, terms = Attested(desk), collective.terms.first().document
    text = wallet.envelope(terms)["document"]["presence"]["attestations"][0]
    token, *disclosures, _ = wallet.credential.split("~")
    envelope = wallet.envelope(terms)
    nonce = facts.nonce(
        collective_id=terms["collective_id"],
        requirement_hash=terms["requirement_hash"],
        subscription_key=wallet.key,
        commitment="ab" * 32,
        created=envelope["document"]["created"],
    )
    body = "~".join([token, *disclosures, ""])
    proof = {
        "iat": int(time.time()),
        "aud": terms["collective_id"],
        "nonce": nonce,
        "sd_hash": sd_jwt._hash(body),
    }
    everything = body + jws.sign(wallet.holder, {"typ": "kb+jwt"}, proof)
    assert everything != text
    presence = {**envelope["document"]["presence"], "attestations": [everything]}
    changed = wallet.subscription(terms, presence=presence, created=envelope["document"]["created"])
    assert refused(collective, changed) == "malformed"


def test_a_revoked_credential_is_refused(desk: Issuer, collective: Collective) -> None:
    found = attest(desk)
    services.revoke(credential=found, reason="left")
    wallet = Attested(desk, status_index=found.status_index)
    assert refused(collective, wallet.envelope(collective.terms.first().document)) == "revoked"


def test_a_linkable_presentation_is_no_proof_without_linking(desk: Issuer) -> None:
    apart = cast.register(cast.account("alice"), requirement=asking(desk, "unlinkable"))
    terms = apart.terms.first().document
    assert refused(apart, Attested(desk).envelope(terms)) == "untrusted_issuer"
    assert refused(apart, Wallet().subscription(terms)) == "presence_level"
    for sent, code in (([], "fact_missing"), (["{}"], "malformed"), (["{"], "malformed")):
        presence = {"level": "attested", "commitment": "ab" * 32, "record_count": 1, "attestations": sent}
        assert refused(apart, Wallet().subscription(terms, presence=presence)) == code


# --- the wallet's side -----------------------------------------------------------------------------------------------------------

Work = Callable[[WalletAgent], Awaitable[Any]]


@pytest.fixture
def with_wallet(tmp_path: Path, live_server: Any) -> Callable[[Work], Any]:
    """Run work in a real agent, in a thread of its own (the site runs in this process); the wallet stays between calls."""

    async def main(work: Work) -> Any:
        folder = tmp_path / "wallet"
        rng = os.urandom
        if not folder.exists():
            store, _ = await vault.create(
                folder, rng=rng, passphrase=PASSPHRASE, cost=Argon2Cost(memory_kib=64, passes=1)
            )
        else:
            store = await vault.open_with(folder, SlotKind.PASSPHRASE, PASSPHRASE, now=int(time.time()))
        transport, launcher = Transport(), Launcher()
        agent = WalletAgent(
            name="w",
            store=store,
            transport=transport,
            launcher=launcher,
            consent=Consent(Rule.HOST),
            now=lambda: int(time.time()),
            rng=rng,
            policy=HolderPolicy(allow_development=True),
        )
        try:
            await agent.load()
            return await work(agent)
        finally:
            await agent.stop()
            await launcher.close()
            await transport.close()
            await store.close()

    def run(work: Work) -> Any:
        with ThreadPoolExecutor(max_workers=1) as pool:
            return pool.submit(asyncio.run, main(work)).result()

    return run


def _joining(collective: Collective, url: str) -> Work:
    envelope = collective.terms.first().envelope()

    async def work(agent: WalletAgent) -> Any:
        await agent.pin_server(await server.fetch(agent.transport, url, ""))
        offer = {"collective_id": str(collective.pk), "terms": envelope, "offer_ref": ""}
        return await membership.subscribe(agent, offer, through_pairing=True)

    return work


def test_a_real_wallet_receives_subscribes_changes_and_sees_a_revocation(
    desk: Issuer, collective: Collective, with_wallet: Any, live_server: Any
) -> None:
    declared = {name: value for name, value in PERSON.items() if name != FIELD}

    async def import_own(agent: WalletAgent) -> None:
        async with agent.store.transaction() as records:
            await own.save(records, declared)

    with_wallet(import_own)
    join = _joining(collective, live_server.url)
    with pytest.raises(BadData, match="peer_review is missing"):
        with_wallet(join)
    with_wallet(lambda agent: _save(agent, {FIELD: PERSON[FIELD]}))
    with pytest.raises(BadData, match="needs a credential from did:key"):
        with_wallet(join)

    # receive: values of the holder's own are replaced only when told so
    offer = attest(desk, {FIELD: (PERSON[FIELD] + 1) % 10})
    link = attested.OfferLink.parse(offer_link(offer))
    with pytest.raises(BadData, match="would replace values already in the wallet: peer_review"):
        with_wallet(lambda agent: attested.receive(agent, link, replace=False))
    held, added, replaced = with_wallet(lambda agent: attested.receive(agent, link, replace=True))
    assert (held.status, added, replaced) == ("good", [], [FIELD])
    offer.refresh_from_db()
    assert (offer.status, offer.sealed_offer) == ("issued", None)
    with pytest.raises(ServerRefused, match="not known or was used"):
        with_wallet(lambda agent: attested.receive(agent, link, replace=True))

    with_wallet(join)
    statement = Subscription.objects.get().document["document"]["presence"]
    assert (statement["level"], len(statement["attestations"])) == ("attested", 1)

    # the holder changes the attested value: presence no longer holds, and a collective is told nothing wrong
    with_wallet(lambda agent: _save(agent, {FIELD: (PERSON[FIELD] + 2) % 10}))
    told = with_wallet(restating.restate_all)
    assert "not the one its issuer attested" in next(iter(told.values()))
    with_wallet(lambda agent: _save(agent, {FIELD: (PERSON[FIELD] + 1) % 10, "manager_evaluation": 3}))
    told = with_wallet(restating.restate_all)
    assert list(told.values()) == ["took your changed data"]
    assert PresenceStatement.objects.get().commitment != statement["commitment"]
    assert with_wallet(restating.restate_all) == {}

    # the issuer revokes: the wallet shows it and proves no more with it
    services.revoke(credential=offer, reason="typo")
    cache.clear()
    (name,) = [h.name for h in with_wallet(attested.every)]
    assert with_wallet(lambda agent: attested.check_status(agent, name)) == "revoked"
    with_wallet(lambda agent: _save(agent, {"manager_evaluation": 4}))
    told = with_wallet(restating.restate_all)
    assert "revoked, expired or made for another rule" in next(iter(told.values()))
    assert PresenceStatement.objects.count() == 1

    with_wallet(lambda agent: attested.delete(agent, name))
    assert with_wallet(attested.every) == []


async def _save(agent: WalletAgent, values: dict[str, Any]) -> None:
    async with agent.store.transaction() as records:
        await own.save(records, values)


def test_a_credential_of_another_issuer_than_the_link_names_is_not_kept(
    desk: Issuer, with_wallet: Any
) -> None:
    other = services.open_desk(account="x", name="Somebody else")
    offer = attest(desk)
    link = attested.OfferLink(
        url=services.settings.ISSUER_URL, code=sealing.code_for(offer.pk.bytes), issuer=other.did
    )
    with pytest.raises(WalletError) as raised:
        with_wallet(lambda agent: attested.receive(agent, link, replace=True))
    assert raised.value.code == "untrusted_issuer"
    assert with_wallet(attested.every) == []


@pytest.mark.parametrize(
    "link", ["", "cssi://pair?url=x", "cssi://credential?url=https://x", "cssi://credential?code=a&issuer=b"]
)
def test_a_broken_link_is_named(link: str) -> None:
    with pytest.raises(BadData, match="not a whole cssi://credential link"):
        attested.OfferLink.parse(link)


def test_the_page_says_which_level_is_asked_and_whose_word_is_taken(
    desk: Issuer, collective: Collective, client: Client
) -> None:
    text = client.get(reverse("collective", args=[collective.pk])).content.decode()
    assert "An issuer must have attested it." in text
    assert "can be recognised where it is shown again" in text
    assert desk.did in text


def test_the_same_on_the_wallets_command_line(
    desk: Issuer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse battery\n")
    monkeypatch.setenv("WALLET_PASSPHRASE_FILE", str(secret))
    monkeypatch.setattr(vault, "Argon2Cost", lambda: Argon2Cost(memory_kib=64, passes=1))

    def wallet(*words: str) -> tuple[int, str, str]:
        with ThreadPoolExecutor(max_workers=1) as pool:
            code = pool.submit(cli.main, ["--wallet", str(tmp_path / "w"), *words]).result()
        return code, *capsys.readouterr()

    assert wallet("init")[0] == 0
    assert "all your values are your own word" in wallet("credentials")[1]
    offer = attest(desk)
    code, out, _ = wallet("receive", offer_link(offer))
    assert (code, "1 fields added, 0 replaced: peer_review" in out) == (0, True)
    name = out.split("credential ")[1].split()[0]
    code, out, _ = wallet("credentials", "--check")
    assert (code, name in out, "good" in out) == (0, True, True)
    services.revoke(credential=offer, reason="typo")
    assert "revoked" in wallet("credentials", "--check")[1]
    assert wallet("forget-credential", name)[0] == 0
    code, _, err = wallet("forget-credential", name)
    assert (code, "There is no credential" in err) == (1, True)
    code, _, err = wallet("receive", "cssi://pair?x=1")
    assert (code, "not a whole cssi://credential link" in err) == (2, True)
    assert "Every collective knows the data as it is" in wallet("restate")[1]
