"""The administrator's figures: what they count, who sees them, and that they name nobody."""

from __future__ import annotations

import re
import uuid

import pytest
from celery import current_app
from django.test import Client
from django.urls import reverse

from aggregation.server.models import Job, Round
from marketplace.accounts.models import Account

pytestmark = pytest.mark.django_db(databases=["default", "distributor", "aggregator", "issuer"])


@pytest.fixture
def ada(client: Client) -> Client:
    client.force_login(Account.objects.create_superuser("ada@people.example", "x"))
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
    client.force_login(Account.objects.create_user("ben@people.example", "x"))
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
