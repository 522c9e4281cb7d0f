"""Letters name the project and its public address; the log keeps tracebacks for what is our own fault."""

from __future__ import annotations

import io
import logging
import logging.config
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.test import Client
from django.urls import reverse

from tests.apps import cast
from tests.apps.cast import PASSWORD, World


@pytest.fixture
def world(db: None) -> World:
    return cast.world()


def test_a_confirmation_and_a_reset_come_from_the_project_at_its_public_address(
    db: None, settings: Any
) -> None:
    settings.SITE_URL = "https://collectives.example"
    client = Client()
    words = {"email": "new@people.example", "password1": PASSWORD, "password2": PASSWORD}
    assert client.post(reverse("account_signup"), words).status_code == 302
    assert (
        Client().post(reverse("account_reset_password"), {"email": "new@people.example"}).status_code == 302
    )
    assert len(mail.outbox) == 2
    for letter in mail.outbox:
        assert letter.subject.startswith("[Compute-to-SSI] ")
        assert "Compute-to-SSI" in letter.body
        assert "https://collectives.example/" in letter.body
        assert "testserver" not in letter.subject + letter.body


@pytest.fixture
def log() -> Any:
    """What the configured console handler writes."""
    written = io.StringIO()
    kept = logging.getLogger("django.request"), list(logging.root.handlers), logging.root.level
    logging.config.dictConfig(settings.LOGGING)
    (handler,) = logging.root.handlers
    handler.setStream(written)  # type: ignore[attr-defined]
    yield written
    logging.root.handlers[:] = kept[1]
    logging.root.setLevel(kept[2])


def test_a_refusal_is_one_line_of_the_log(world: World, log: io.StringIO) -> None:
    assert world.client("ivo").get(reverse("console")).status_code == 403
    lines = [line for line in log.getvalue().splitlines() if "/console/" in line]
    assert len(lines) == 1
    assert "Forbidden" in lines[0]
    assert "Traceback" not in log.getvalue()


def test_our_own_fault_keeps_its_places_and_not_its_words(
    world: World, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    from marketplace.catalogue import views

    wrote = "ada@people.example"  # not in the line that raises, which the log shows

    def broken(*_: object) -> None:
        raise RuntimeError(wrote)

    monkeypatch.setattr(views.selectors, "public_collectives", broken)
    client = world.client("")
    client.raise_request_exception = False
    assert client.get(reverse("catalogue")).status_code == 500
    assert "Internal Server Error: /collectives/" in log.getvalue()
    assert ", in broken" in log.getvalue()
    assert "RuntimeError" in log.getvalue()
    assert wrote not in log.getvalue()
