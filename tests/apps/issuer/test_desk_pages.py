"""The desk's pages, for its owner alone: values by a form and never as JSON, the link for the wallet, keys for unlinkable proofs."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import resolve, reverse

from aggregation.wire.secret import Secret
from attestation.desk import sealing, services, tasks, unlinkable
from attestation.desk.models import Credential, Issuer
from attestation.formats import registry
from attestation.formats.definition import Definition
from marketplace.demo.job_performance import requirement as seed_requirement
from tests.unit.credentials.test_predicates import DEFINITION, DID, KEY

pytestmark = pytest.mark.django_db(databases=["default", "issuer"])


def _client(name: str) -> Client:
    account = get_user_model().objects.create_user(email=f"{name}@example.org", password="x" * 12)
    client = Client()
    client.force_login(account, backend="django.contrib.auth.backends.ModelBackend")
    return client


def test_from_the_desk_to_the_link_on_the_pages() -> None:
    client = _client("hr")
    page = client.post(reverse("issuer-desks"), {"name": "Acme HR"}, follow=True)
    desk = Issuer.objects.get()
    assert desk.did in page.content.decode()

    values = {
        "label": "no. 17",
        "requirement": json.dumps(seed_requirement()),
        "values": '{"peer_review": 70}',
        "days": 30,
    }
    page = client.post(reverse("issuer-attest", args=[desk.pk]), values)
    assert "peer_review: must be at most 10" in page.content.decode()
    page = client.post(
        reverse("issuer-attest", args=[desk.pk]), values | {"values": '{"peer_review": 7}'}, follow=True
    )
    found = desk.credentials.get()
    assert sealing.code_for(found.pk.bytes) in page.content.decode()
    assert "no-store" in page["Cache-Control"]

    client.post(reverse("issuer-revoke", args=[desk.pk, found.pk]), {"reason": "typo"})
    assert (
        sealing.code_for(found.pk.bytes)
        not in client.get(reverse("issuer-credential", args=[desk.pk, found.pk])).content.decode()
    )
    assert "revoked" in client.get(reverse("issuer-desk", args=[desk.pk])).content.decode()


class _Fields(HTMLParser):
    """What a person could type into, what is sent along, and what the page would run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.typed: set[str] = set()
        self.hidden: dict[str, str] = {}
        self.scripts: list[dict[str, str | None]] = []
        self.form: dict[str, str | None] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "script":
            self.scripts.append(found)
        if tag == "form" and found.get("id") == "attesting":
            self.form = found
        if tag in ("textarea", "select") or (tag == "input" and found.get("type") != "hidden"):
            self.typed.add(found.get("name") or found.get("id") or tag)
        elif tag == "input":
            self.hidden[str(found.get("name"))] = found.get("value") or ""


@pytest.fixture
def own() -> tuple[Client, str, Issuer]:
    """Somebody with a desk: (client, address of the form for values, desk)."""
    client = _client("hr")
    client.post(reverse("issuer-desks"), {"name": "Acme HR"})
    desk = Issuer.objects.get()
    return client, reverse("issuer-attest", args=[desk.pk]), desk


def test_nobody_writes_json_into_the_form(own: tuple[Client, str, Issuer]) -> None:
    client, url, desk = own
    answer = client.get(url)
    page = _Fields(answer.content.decode())
    assert page.typed == {"label", "days", "collective-of", "requirement-file"}
    assert {"requirement", "values"} <= set(page.hidden)
    assert all(script.get("src") for script in page.scripts)
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert page.form["data-did"] == desk.did
    assert "autocomplete" in page.form
    assert resolve(str(page.form["data-form"])).url_name == "issuer-form"
    assert resolve(str(page.form["data-terms"])).url_name == "api-terms"


def test_what_was_entered_is_still_there_when_something_is_wrong(own: tuple[Client, str, Issuer]) -> None:
    client, url, desk = own
    asked, entered = json.dumps(seed_requirement()), '{"peer_review":70}'
    sent = {"label": "no. 17", "requirement": asked, "values": entered, "days": "30"}
    text = client.post(url, sent).content.decode()
    assert _Fields(text).hidden.items() >= {"requirement": asked, "values": entered}.items()
    assert (
        '<a href="#entering">' in text
    )  # where the values are; nothing can have the focus in a hidden field
    for missing, sentence, place in (
        ("requirement", "First get the rules", "#choosing"),
        ("values", "Enter at least one value", "#entering"),
    ):
        text = client.post(url, {**sent, missing: ""}).content.decode()
        assert sentence in text.split('class="errors"')[1]
        assert f'<a href="{place}">' in text
    for odd in ("{", "[]", "5", "[" * 5000):
        assert "This could not be read" in client.post(url, {**sent, "values": odd}).content.decode()
    assert not desk.credentials.exists()


def test_rules_that_are_none_are_refused_where_they_were_chosen(own: tuple[Client, str, Issuer]) -> None:
    client, url, desk = own
    sent = {"label": "17", "values": '{"a":1}', "days": "30", "requirement": '{"type":"string"}'}
    text = client.post(url, sent).content.decode()
    assert '<a href="#choosing">' in text
    assert "A data requirement is a JSON Schema of type object." in text
    assert not desk.credentials.exists()


def test_a_desk_refuses_in_the_language_of_who_reads_it(own: tuple[Client, str, Issuer]) -> None:
    client, url, _desk = own
    german = {"Accept-Language": "de"}
    sent = {"label": "17", "days": "30", "requirement": json.dumps(seed_requirement())}
    skills = [{"name": "writing", "measurements": ["x"]}]
    for values, said in (
        ({"peer_review": 70}, "peer_review: darf höchstens 10 sein"),
        (
            {"skills": skills},
            "skills: 1 von mindestens 5; skills, Eintrag 1, measurements, Eintrag 1: muss eine Zahl sein",
        ),
        ({"shoe_size": 43}, "Die Anforderung fragt nicht nach shoe_size."),
    ):
        form = {**sent, "values": json.dumps(values)}
        assert said in client.post(url, form, headers=german).content.decode()
    answer = Client().post(reverse("issuer-collect"), "[]", content_type="application/json", headers=german)
    assert answer.json() == {
        "code": "malformed",
        "detail": "Sende code, holder_key, created und signature als ein JSON-Objekt.",
    }
    assert "Send code" in Client().post(reverse("issuer-collect"), "[]", content_type="text/plain").text


def test_the_form_for_values_is_the_data_tools() -> None:
    for name in ("form.js", "german_form.js", "phrases.js", "rules.js"):
        answer = Client().get(reverse("issuer-form", args=[name]))
        assert answer["Content-Type"] == "text/javascript; charset=utf-8"
        assert answer.content == resources.files("collectives.datatool").joinpath(name).read_bytes()
    for other in ("page.py", "tool.js", "..%2f__init__.py"):
        assert Client().get(f"/issuer/form/{other}").status_code == 404


def test_a_desk_is_its_accounts_alone(desk: Issuer, offer: Credential) -> None:
    other = _client("other")
    for name, args in (
        ("issuer-desk", [desk.pk]),
        ("issuer-attest", [desk.pk]),
        ("issuer-credential", [desk.pk, offer.pk]),
    ):
        assert other.get(reverse(name, args=args)).status_code == 404
        assert Client().get(reverse(name, args=args)).status_code == 302
    assert other.post(reverse("issuer-revoke", args=[desk.pk, offer.pk])).status_code == 404
    offer.refresh_from_db()
    assert offer.status == "offered"


def test_keys_for_unlinkable_proofs_are_asked_for_on_the_page_and_made_by_a_worker(
    own: tuple[Client, str, Issuer],
    monkeypatch: pytest.MonkeyPatch,
    django_capture_on_commit_callbacks: Any,
) -> None:
    """Finding real keys takes tens of seconds (tests/unit/credentials); here they are those of its definition.json."""
    client, _, desk = own
    page, ask = reverse("issuer-desk", args=[desk.pk]), reverse("issuer-unlinkable", args=[desk.pk])
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(
        unlinkable.current_app, "send_task", lambda name, queue, **_: sent.append((name, queue))
    )
    assert "Make the keys" in client.get(page).content.decode()
    assert _client("other").post(ask).status_code == 404
    for _ in range(2):  # pressed twice
        with django_capture_on_commit_callbacks(using="issuer", execute=True):
            answer = client.post(ask, follow=True)
        assert "The keys are being made." in answer.content.decode()
        assert "Make the keys" not in answer.content.decode()
    tasks.sweep()  # a wake-up may be lost
    assert sent == [("issuer.keys", "audits")] * 3
    second = services.open_desk(account=desk.account, name="Another")
    answer = client.post(reverse("issuer-unlinkable", args=[second.pk]), follow=True)
    assert "Another desk of yours waits" in answer.content.decode()

    made = json.loads((Path(__file__).parents[2] / "unit" / "credentials" / "definition.json").read_text())
    key = sealing.seal(KEY.reveal(), desk.pk.bytes)
    Issuer.objects.filter(pk=desk.pk).update(did=DID, sealed_key=key)
    seen: list[bytes] = []

    def find(private: Secret) -> tuple[Definition, dict[str, Any]]:
        seen.append(private.reveal())
        return DEFINITION, made["kept"]

    monkeypatch.setattr(unlinkable, "make_definition", find)
    monkeypatch.setattr(registry, "SIZE", 16)
    tasks.keys()
    tasks.keys()
    assert seen == [KEY.reveal()]  # once, with the desk's own key
    desk.refresh_from_db()
    assert [one.number for one in desk.registries.all()] == [1]
    assert (desk.definition, desk.definition_wanted) == (made["token"], False)
    assert "Every credential of this desk also serves" in client.get(page).content.decode()
    tasks.sweep()
    assert len(sent) == 3

    late = Issuer.objects.get(pk=desk.pk)
    late.definition = ""  # another worker began before the first had finished
    made["token"] += "x"
    unlinkable.make_keys(late)
    assert late.definition == desk.definition
