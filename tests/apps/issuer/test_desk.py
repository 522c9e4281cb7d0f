"""The issuer desk: values are checked, handed over once, erased, and revoked; its pages belong to one account."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from attestation.desk import services, tasks
from attestation.desk.errors import DeskError
from attestation.desk.management.commands import issuer as issuer_command
from attestation.desk.models import Credential, Issuer
from attestation.formats import credential, facts, status
from attestation.formats.errors import AttestationError
from marketplace.demo.job_performance import requirement as seed_requirement
from tests.apps.issuer.conftest import VALUES, Collector

pytestmark = pytest.mark.django_db(databases=["default", "issuer"])


def _post(name: str, call: Any) -> Any:
    return Client().post(reverse(name), json.dumps(call), content_type="application/json")


def test_a_wallet_collects_what_was_attested(desk: Issuer, offer: Credential, code: str) -> None:
    wallet = Collector()
    answer = _post("issuer-collect", wallet.call(code))

    claims = credential.open_issued(answer.json()["credential"], issuers=[desk.did], now=int(time.time()))
    assert claims.record == VALUES
    assert claims.facts == {n: facts.rule_id(n, seed_requirement()["properties"][n]) for n in VALUES}
    assert claims.holder_key == wallet.key
    assert (claims.status_uri, claims.status_index) == (services.status_uri(desk), offer.status_index)


def test_a_lost_answer_is_asked_for_again_and_another_wallet_gets_nothing(
    offer: Credential, code: str
) -> None:
    wallet = Collector()
    for _ in range(2):
        assert _post("issuer-collect", wallet.call(code)).status_code == 200
    other = _post("issuer-collect", Collector().call(code))
    assert (other.status_code, other.json()["code"]) == (409, "taken")

    assert _post("issuer-received", Collector().call(code, b"cssi/v1/credential-received")).status_code == 200
    assert _post("issuer-collect", wallet.call(code)).status_code == 200
    for _ in range(2):
        assert _post("issuer-received", wallet.call(code, b"cssi/v1/credential-received")).json() == {}
    assert _post("issuer-collect", wallet.call(code)).json()["code"] == "unknown_code"


def test_nothing_of_the_person_stays_once_the_wallet_has_it(offer: Credential, code: str) -> None:
    wallet = Collector()
    _post("issuer-collect", wallet.call(code))
    _post("issuer-received", wallet.call(code, b"cssi/v1/credential-received"))

    offer.refresh_from_db()
    assert (offer.status, offer.sealed_offer, offer.code_hash, offer.holder_hash) == (
        "issued",
        None,
        None,
        "",
    )


def test_before_that_the_database_holds_no_value_and_no_code(desk: Issuer, code: str) -> None:
    services.attest(
        issuer=desk, label="x", requirement=seed_requirement(), values={"job_title": "electrician"}, days=9
    )
    rows = connections["issuer"].cursor().execute("SELECT * FROM issuer_credential").fetchall()
    said = repr(rows)
    assert len(rows) == 2
    assert "electrician" not in said
    assert b"electrician".hex() not in said
    assert code not in said


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"signature": "00" * 64}, "bad_signature"),
        ({"holder_key": "zz"}, "bad_signature"),
        ({"created": 1}, "clock"),
        ({"code": "wrong"}, "bad_signature"),
        ({"created": "now"}, "malformed"),
        ({"created": True}, "malformed"),
        ({"more": 1}, "malformed"),
    ],
)
def test_a_wrong_call_is_named_and_changes_nothing(
    offer: Credential, code: str, change: dict[str, Any], named: str
) -> None:
    answer = _post("issuer-collect", Collector().call(code) | change)
    assert answer.json()["code"] == named
    offer.refresh_from_db()
    assert (offer.status, offer.holder_hash) == ("offered", "")


@pytest.mark.parametrize("body", ["", "[", "[]", "5", "x" * 5000])
def test_any_body_is_refused_by_name(body: str) -> None:
    answer = Client().post(reverse("issuer-collect"), body, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({}, "one object"),
        ({"shoe_size": 43}, "does not ask for shoe_size"),
        ({"peer_review": 11}, "peer_review: must be at most 10"),
        ({"skills": [{"name": "writing", "measurements": [5]}]}, "skills: 1 of at least 5"),
    ],
)
def test_only_values_that_meet_their_rule_are_attested(desk: Issuer, values: Any, says: str) -> None:
    with pytest.raises(DeskError, match=says):
        services.attest(issuer=desk, label="x", requirement=seed_requirement(), values=values, days=9)
    assert not desk.credentials.exists()


def test_an_offer_ends_and_its_values_go(desk: Issuer, offer: Credential, code: str) -> None:
    Credential.objects.update(offer_ends=timezone.now() - timedelta(seconds=1))
    assert _post("issuer-collect", Collector().call(code)).json()["code"] == "offer_over"
    assert services.sweep() == 1
    offer.refresh_from_db()
    assert (offer.status, offer.sealed_offer) == ("lapsed", None)
    assert services.sweep() == 0


def test_offers_that_are_over_are_swept_by_the_timetable_and_by_a_command_that_stays(
    desk: Issuer, offer: Credential, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.CELERY_BEAT_SCHEDULE["offers"]["task"] == tasks.sweep.name
    tasks.sweep()
    offer.refresh_from_db()
    assert offer.sealed_offer is not None  # its time is not over
    Credential.objects.update(offer_ends=timezone.now() - timedelta(seconds=1))
    tasks.sweep()
    offer.refresh_from_db()
    assert (offer.status, offer.sealed_offer) == ("lapsed", None)

    late = services.attest(issuer=desk, label="x", requirement=seed_requirement(), values=VALUES, days=9)
    pauses: list[int] = []

    def pause(seconds: int) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt
        Credential.objects.filter(pk=late.pk).update(offer_ends=timezone.now() - timedelta(seconds=1))

    monkeypatch.setattr(issuer_command, "sleep", pause)
    monkeypatch.setattr(
        issuer_command.connections, "close_all", lambda: None
    )  # the test's own connection stays
    with pytest.raises(KeyboardInterrupt):
        call_command("issuer", "sweep", "--every", "60")
    late.refresh_from_db()
    assert (late.status, pauses) == ("lapsed", [60, 60])


def test_a_revocation_is_in_the_list(desk: Issuer, offer: Credential, code: str) -> None:
    def look() -> None:
        token = Client().get(reverse("issuer-status", args=[desk.pk])).content.decode()
        status.check(
            token,
            issuer=desk.did,
            uri=services.status_uri(desk),
            index=offer.status_index,
            now=int(time.time()),
        )

    look()
    services.revoke(credential=offer, reason="left")
    with pytest.raises(AttestationError) as raised:
        look()
    assert raised.value.code == "revoked"
    assert _post("issuer-collect", Collector().call(code)).json()["code"] == "unknown_code"


# --- command line ------------------------------------------------------------------------------------------------------------


def test_the_same_on_the_command_line(tmp_path: Path, capsys: Any) -> None:
    required, values = tmp_path / "requirement.json", tmp_path / "values.json"
    required.write_text(json.dumps(seed_requirement()))
    values.write_text(json.dumps(VALUES))
    call_command("issuer", "open", "Acme HR")
    desk = Issuer.objects.get()
    words = ["--label", "17", "--requirement", str(required), "--values", str(values)]
    capsys.readouterr()
    call_command("issuer", "attest", desk.did, *words)
    link = parse_qs(urlsplit(capsys.readouterr().out.strip()).query)
    assert link["issuer"] == [desk.did]
    assert _post("issuer-collect", Collector().call(link["code"][0])).status_code == 200
    call_command("issuer", "list")
    assert "issued" in capsys.readouterr().out
    call_command("issuer", "revoke", str(desk.credentials.get().pk))
    assert desk.credentials.get().status == "revoked"
    for bad in (["attest", "did:key:zNone", *words], ["revoke", "nothing"]):
        with pytest.raises(CommandError, match="There is no such"):
            call_command("issuer", *bad)
    values.write_text("[")
    with pytest.raises(CommandError, match="cannot be read as JSON"):
        call_command("issuer", "attest", desk.did, *words)
