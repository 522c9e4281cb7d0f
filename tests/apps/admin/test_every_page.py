"""Every model of every domain in the admin: lists, rows, actions, for the administrator and for nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import models
from django.test import Client
from django.urls import reverse

from collectives.models import Algorithm, Collective
from tests.apps import cast
from tests.apps.admin import rows
from tests.apps.pages.test_permissions import snapshot

pytestmark = pytest.mark.django_db(databases="__all__")

CHANGED_BY_HAND = {"accounts.Account", "collectives.Algorithm"}
"""What an administrator may edit: accounts, and an algorithm's reason for its return. All else is history."""
TAKEN_AWAY = {"accounts.ApiToken"}
"""What an administrator may delete, without being able to make or change one."""


@pytest.fixture
def world() -> cast.World:
    made = cast.world()
    rows.fill()
    return made


def address(model: type[models.Model], page: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def pages() -> Iterator[tuple[str, str]]:
    """(name, address) of every list and of one row of each."""
    for model in rows.ours():
        yield f"{model._meta.label} list", address(model, "changelist")
        yield f"{model._meta.label} row", address(model, "change", rows.one(model).pk)
        yield f"{model._meta.label} history", address(model, "history", rows.one(model).pk)


def test_every_model_of_every_domain_is_there() -> None:
    missing = [model._meta.label for model in rows.ours() if not admin.site.is_registered(model)]
    assert not missing
    assert len(rows.ours()) > 40
    labels = {model._meta.app_label for model in rows.ours()}
    assert {
        "accounts",
        "individuals",
        "jobs",
        "settlement",
        "collectives",
        "distributor",
        "aggregator",
    } <= labels


def test_every_list_and_every_row_opens_and_looking_changes_nothing(world: cast.World) -> None:
    ada = world.client("ada")
    found = list(pages())
    assert ada.get(reverse("admin:index")).status_code == 200
    before = snapshot()
    for name, url in found:
        assert ada.get(url).status_code == 200, name
    for model in rows.ours():
        searched = ada.get(address(model, "changelist") + "?q=a").status_code
        assert searched == 200, model._meta.label
    assert snapshot() == before


@pytest.mark.parametrize("who", ["", "charlie", "alice"])
def test_nobody_else_gets_in(world: cast.World, who: str) -> None:
    client = world.client(who)
    for name, url in pages():
        answer = client.get(url)
        assert answer.status_code == 302, name
        assert "/admin/login/" in answer.url, name
        assert client.post(url, {"action": "delete_selected"}).status_code == 302, name


def test_history_is_only_read(world: cast.World) -> None:
    ada = world.client("ada")
    for model in rows.ours():
        label = model._meta.label
        if label in CHANGED_BY_HAND:
            continue
        row = rows.one(model)
        assert ada.get(address(model, "add")).status_code == 403, label
        if label not in TAKEN_AWAY:
            assert ada.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403, label
            listed = ada.get(address(model, "changelist"))
            assert b'value="delete_selected"' not in listed.content, label
        before = model._base_manager.filter(pk=row.pk).values().get()
        ada.post(address(model, "change", row.pk), _everything_changed(model))
        assert model._base_manager.filter(pk=row.pk).values().get() == before, label


def _everything_changed(model: type[models.Model]) -> dict[str, str]:
    return {field.name: "1" for field in model._meta.concrete_fields}


def test_every_action_answers_with_a_page_and_a_sentence(
    world: cast.World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run on every row, also where it cannot be done: a message, never a failure."""
    ada = world.client("ada")
    ran = 0
    for model in rows.ours():
        site = admin.site._registry[model]
        url = address(model, "changelist")
        for action in site.actions:
            name = action if isinstance(action, str) else action.__name__
            every = [str(row.pk) for row in model._base_manager.all()]
            for reason in ("", "A reason."):
                body = {"action": name, "_selected_action": every, "index": "0", "reason": reason}
                answer = ada.post(url, body, follow=True)
                assert answer.status_code == 200, (model._meta.label, name)
                ran += 1
    assert ran >= 14


def test_no_page_of_the_admin_shows_a_secret(world: cast.World) -> None:
    """Sealed keys, tokens and masked inputs are excluded; where a row has them, its page does not."""
    ada = world.client("ada")
    collective = world.collective
    page = ada.get(address(type(collective), "change", collective.pk)).content.decode()
    assert "sealed" not in page.lower()
    for label, hidden in {
        "aggregator.Round": ("Header:", "Sum:", "Randomness:"),
        "aggregator.Participant": ("Ticket:",),
        "aggregator.Suspicion": ("Subscription key:",),
        "aggregator.Exclusion": ("Subscription key:", "Letter:"),
        "aggregator.PayoutAddress": ("Address:", "Opening:"),
        "aggregator.PhaseMessage": ("Body:",),
        "distributor.Job": ("Cohort key:",),
        "distributor.Round": ("Payload token:", "Task body:"),
        "settlement.ConsumerWallet": ("Sealed key:",),
        "individuals.SubscriptionLink": ("Subscription key:", "Account:"),
        "individuals.WalletLink": ("Mailbox key:", "Account:"),
        "individuals.PairingCode": ("Code hash:",),
    }.items():
        model = apps.get_model(label)
        page = ada.get(address(model, "change", rows.one(model).pk)).content.decode()
        for field in hidden:
            assert field not in page, (label, field)


def act(client: Client, model: type[models.Model], action: str, row: models.Model, **extra: str) -> list[str]:
    """What the administrator reads after an action on one row."""
    body = {"action": action, "_selected_action": [str(row.pk)], **extra}
    answer = client.post(address(model, "changelist"), body, follow=True)
    return [str(message) for message in answer.context["messages"]]


def test_an_action_says_what_became_of_it_and_is_not_done_twice(world: cast.World) -> None:
    ada = world.client("ada")
    collective, algorithm = world.collective, Algorithm.objects.get(status="approved")
    (said,) = act(ada, Collective, "suspend", collective)
    assert "Say why" in said
    (said,) = act(ada, Collective, "suspend", collective, reason="A complaint.")
    assert "is suspended" in said
    (said,) = act(ada, Collective, "suspend", collective, reason="Another one.")
    assert "already" in said
    collective.refresh_from_db()
    assert collective.status_reason == "A complaint."
    assert "open again" in act(ada, Collective, "reinstate", collective)[0]
    assert "not suspended" in act(ada, Collective, "reinstate", collective)[0]
    reviewed = algorithm.reviewed_at
    assert "approved already" in act(ada, Algorithm, "approve", algorithm)[0]
    algorithm.refresh_from_db()
    assert algorithm.reviewed_at == reviewed
