"""Who may open each page; what a stranger gets; that looking changes nothing."""

from __future__ import annotations

import re

import pytest
from django.apps import apps
from django.db import connections, router
from django.db.models import Model
from django.urls import reverse

from tests.apps.cast import ROLES, World
from tests.apps.pages.addresses import pages

pytestmark = pytest.mark.django_db(databases="__all__")
FOR_ANYBODY_SIGNED_IN = ("account", "mfa", "issuer", "models", "administration", "overview")
"""How the names of pages begin that ask for no role; the last two are the administrator's."""
CHANGING = [
    ("wallet-rename", "wallet"),
    ("wallet-remove", "wallet"),
    ("revoke", "link"),
    ("forget", "link"),
]


@pytest.fixture(autouse=True)
def no_wallet_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages must stand while the distributor is down."""
    from marketplace.individuals import clients
    from marketplace.individuals.errors import DistributorDown

    def down(*args: object, **kwargs: object) -> None:
        raise DistributorDown

    monkeypatch.setattr(clients, "_call", down)


def snapshot() -> dict[str, list[dict[str, object]]]:
    """Every row of every table of ours, as the database gives it: read without the mapper, which costs a hundred times as much."""
    ours = ("accounts", "individuals", "jobs", "settlement", "collectives")
    return {
        model._meta.label: rows(model)
        for config in apps.get_app_configs()
        if config.label in ours
        for model in config.get_models()
    }


def rows(model: type[Model]) -> list[dict[str, object]]:
    connection = connections[router.db_for_read(model)]
    table, key = (connection.ops.quote_name(name) for name in (model._meta.db_table, model._meta.pk.column))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} ORDER BY {key}")
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def test_each_page_opens_for_whom_it_is_made(world: World) -> None:
    for page in pages(world):
        answer = page.client(world).get(page.url)
        assert answer.status_code == 200, page.name


def test_looking_changes_nothing(world: World) -> None:
    found = pages(world)
    before = snapshot()
    for page in found:
        client = page.client(world)
        client.get(page.url)
        client.head(page.url)
    after = snapshot()
    for rows in (*before["accounts.Account"], *after["accounts.Account"]):
        rows.pop("last_login")  # signing in, not looking, moves this
    assert after == before


def test_the_signed_out_are_asked_to_sign_in(world: World) -> None:
    for page in pages(world):
        if page.who:
            answer = world.client("").get(page.url)
            assert answer.status_code == 302, page.name
            assert answer.url.startswith(reverse(page.door)), page.name


def test_another_persons_things_are_not_there(world: World) -> None:
    for page in pages(world):
        if page.owned:
            assert world.client("charlie").get(page.url).status_code == 404, page.name


def test_a_page_of_another_role_is_refused_and_names_the_role(world: World) -> None:
    for page in pages(world):
        if not page.who or page.name.startswith(FOR_ANYBODY_SIGNED_IN):
            continue
        for name, roles in ROLES.items():
            if name in (page.who, "charlie") or set(roles) & set(ROLES[page.who]):
                continue
            answer = world.client(name).get(page.url)
            assert answer.status_code == 403, (page.name, name)
            assert "is for the role" in answer.content.decode(), page.name


@pytest.mark.parametrize(("name", "thing"), CHANGING)
def test_changing_needs_post_and_the_owner(world: World, name: str, thing: str) -> None:
    url = reverse(name, args=[getattr(world, thing).pk])
    assert world.client("ivo").get(url).status_code == 405
    assert world.client("charlie").post(url).status_code == 404
    assert world.client("").post(url).status_code == 302


@pytest.mark.parametrize("verb", ["fund", "pause", "resume", "stop"])
def test_only_who_ordered_a_job_moves_it(world: World, verb: str) -> None:
    url = reverse("job-act", args=[world.order.job_id, verb])
    assert world.client("carla").get(url).status_code == 405
    assert world.client("charlie").post(url).status_code == 404


def test_a_form_from_elsewhere_is_refused(world: World) -> None:
    from django.test import Client

    client = Client(enforce_csrf_checks=True)
    client.force_login(world.people["ivo"], backend="django.contrib.auth.backends.ModelBackend")
    answer = client.post(reverse("revoke", args=[world.link.pk]))
    assert answer.status_code == 403
    assert "reload the page and send it again" in answer.content.decode()
    world.link.refresh_from_db()
    assert world.link.status == "subscribed"


def test_no_page_names_a_pseudonym_or_a_mailbox(world: World) -> None:
    for page in pages(world):
        text = page.client(world).get(page.url).content
        assert world.link.subscription_key.encode() not in text, page.name
        assert world.wallet.mailbox_key.encode() not in text, page.name


def test_no_button_takes_its_name_from_what_people_wrote(world: World) -> None:
    """A collective called csrfmiddlewaretoken once emptied the token of every form on its pages."""
    named = set()
    for page in pages(world):
        text = page.client(world).get(page.url).content.decode(errors="replace")
        named |= set(re.findall(r'<button[^>]*\bname="([^"]*)"', text))
    ours, allauths = (
        {"choice", "more_rows", "action", "language"},
        {name for name in named if name.startswith("action_")},
    )
    assert ours <= named <= ours | allauths
