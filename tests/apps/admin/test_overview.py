"""The administrator's figures: what they count, who sees them, and that they name nobody."""

from __future__ import annotations

import re
import uuid

import pytest
from celery import current_app
from django.test import Client
from django.urls import reverse

from aggregation.server.models import Exclusion, Job, Round
from aggregation.server.services import exclusions
from aggregation.server.services.exclusions import appeal
from aggregation.tampering.offenders import Account
from marketplace.accounts.models import Account as Person

pytestmark = pytest.mark.django_db(databases=["default", "distributor", "aggregator", "issuer"])


@pytest.fixture
def ada(client: Client) -> Client:
    client.force_login(Person.objects.create_superuser("ada@people.example", "x"))
    return client


def rows(page: str) -> dict[str, str]:
    return dict(re.findall(r'<th scope="row">([^<]*)</th><td>([^<]*)</td>', page))


def test_rounds_queues_and_money_are_counted(ada: Client) -> None:
    job = Job.objects.create(
        collective_id=uuid.uuid4(), rate=1, manifest_hash="", log_root="", log_size=0, created=0
    )
    Round.objects.create(
        job=job, number=1, header=b"", cohort=1, created=0, since=0, deadline=0, step="unmasking"
    )
    waiting = int(
        rows(ada.get(reverse("overview")).content.decode())["rounds"]
    )  # tests before this one share the broker
    current_app.send_task("nobody.listens", queue="rounds")
    page = ada.get(reverse("overview")).content.decode()
    assert rows(page)["unmasking"] == "1"
    assert rows(page)["rounds"] == str(waiting + 1)
    assert "Transactions by state" in page
    assert "errornote" not in page
    assert str(job.pk) not in page
    assert str(job.collective_id) not in page
    assert "ada@people.example" not in page.split('id="content"')[1]


def test_only_the_administrator_sees_them(client: Client) -> None:
    assert client.get(reverse("overview")).status_code == 302
    client.force_login(Person.objects.create_user("ben@people.example", "x"))
    assert client.get(reverse("overview")).status_code == 302


def test_what_cannot_be_asked_is_said(ada: Client, settings: object, monkeypatch: pytest.MonkeyPatch) -> None:
    from marketplace import metrics

    def down() -> object:
        raise ConnectionRefusedError

    monkeypatch.setattr(metrics, "_queues", down)
    page = ada.get(reverse("overview")).content.decode()
    assert "ConnectionRefusedError" in page
    assert "Transactions by state" in page  # what could be asked is there all the same
    text = ada.get(reverse("metrics")).content.decode()
    assert "cssi_metrics_incomplete 1.0" in text
    assert "cssi_jobs{" in text


def test_an_appeal_waits_on_the_first_page_and_is_decided_with_a_reason(ada: Client) -> None:
    made = exclude(uuid.uuid4())
    appeal(collective_id=made.collective_id, key=made.subscription_key, text="It was my brother.")
    first = ada.get(reverse("admin:index")).content.decode()
    assert "1 holders object to the exclusion of their wallet" in first
    url = reverse("admin:aggregator_exclusion_changelist")
    listed = ada.get(url).content.decode()
    assert "It was my brother." in listed
    assert (
        made.subscription_key
        not in ada.get(reverse("admin:aggregator_exclusion_change", args=[made.pk])).content.decode()
    )

    body = {"action": "take_back", "_selected_action": [str(made.pk)], "index": "0", "reason": ""}
    assert "Say why" in ada.post(url, body, follow=True).content.decode()
    assert Exclusion.objects.get().state == "excluded"
    said = ada.post(url, {**body, "reason": "Believable."}, follow=True).content.decode()
    assert "is asked again and told so" in said
    decided = Exclusion.objects.get()
    assert (decided.state, decided.decision, decided.decided_by) == (
        "reinstated",
        "Believable.",
        str(Person.objects.get().pk),
    )
    assert "holders object" not in ada.get(reverse("admin:index")).content.decode()


def exclude(collective_id: uuid.UUID) -> Exclusion:
    """A wallet against which there is enough."""
    account = Account()
    while not account.accused:
        account = account.after(hit=True, share=0.2, chance=0.3)
    exclusions.exclude(collective_id=collective_id, key="ab" * 32, account=account)
    return Exclusion.objects.get()
