"""Letters about notices: one at the announcement, one reminder at half time, none after an answer, nothing said in them."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.utils import timezone

from collectives.models import Admission, NoticeAnswer, Subscription
from marketplace.individuals import tasks
from marketplace.individuals.models import NoticeChoice, NoticeMail
from marketplace.individuals.services import letters
from tests.apps import cast
from tests.apps.cast import World


@pytest.fixture
def world(db: None) -> World:
    return cast.world()


def move_to(world: World, share: float) -> None:
    """As if this share of the notice's time were over."""
    now, lasts = timezone.now(), timedelta(days=14)
    start = now - lasts * share
    Admission.objects.filter(pk=world.admission.pk).update(announced_at=start, effective_at=start + lasts)
    NoticeMail.objects.update(created_at=start)


def test_a_subscriber_is_written_to_once(world: World) -> None:
    assert letters.sweep() == 1
    assert letters.sweep() == 0
    assert [letter.to for letter in mail.outbox] == [["ivo@people.example"]]


def test_letters_are_woken_only_where_there_may_be_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    woken: list[str] = []
    monkeypatch.setattr(tasks.wakeups, "send", lambda task, **_: woken.append(task))
    tasks.sweep()
    assert woken == ["individuals.letters"], "a notice runs"
    Admission.objects.update(status="active")
    tasks.sweep()
    assert len(woken) == 1
    now = timezone.now()
    NoticeMail.objects.create(link=world.link, notice_ref="x", kind="news", created_at=now, not_before=now)
    tasks.sweep()
    assert len(woken) == 2, "a letter waits"


def test_a_letter_says_nothing_of_what_it_is_about(world: World) -> None:
    letters.sweep()
    text = mail.outbox[0].subject + mail.outbox[0].body
    for word in (
        world.collective.name,
        world.algorithm.name,
        str(world.collective.pk),
        str(world.admission.pk),
    ):
        assert word not in text
    assert "/wallet/" in text
    assert "ivo" not in text


def test_one_reminder_at_half_time(world: World) -> None:
    letters.sweep()
    move_to(world, 0.4)
    assert letters.sweep() == 0
    move_to(world, 0.6)
    assert letters.sweep() == 1
    assert mail.outbox[1].subject.startswith("Reminder")
    move_to(world, 0.9)
    assert letters.sweep() == 0


def test_no_reminder_after_an_answer_here(world: World) -> None:
    letters.sweep()
    NoticeChoice.objects.create(
        link=world.link, notice_ref=str(world.admission.pk), choice="without", created_at=timezone.now()
    )
    move_to(world, 0.6)
    assert letters.sweep() == 0


def test_no_reminder_after_an_answer_in_the_wallet(world: World) -> None:
    letters.sweep()
    subscription = Subscription.objects.create(
        collective=world.collective,
        terms=world.collective.terms.get(),
        subscription_key=world.link.subscription_key,
        document={},
        envelope_hash="00" * 32,
        agreement_hash="00" * 32,
        permit={},
        expires_at=timezone.now(),
    )
    NoticeAnswer.objects.create(
        subscription=subscription, admission=world.admission, choice="with", document={}
    )
    move_to(world, 0.6)
    assert letters.sweep() == 0


def test_no_letter_after_leaving_or_after_the_date(world: World) -> None:
    world.link.status = "revoked"
    world.link.save()
    assert letters.sweep() == 0
    world.link.status = "subscribed"
    world.link.save()
    Admission.objects.update(status="active")
    assert letters.sweep() == 0


def test_several_notices_are_one_letter(world: World) -> None:
    other = cast.register(world.people["alice"], "Another question")
    cast.link(world.people["ivo"], world.wallet, other, subscription_key="ef" * 32)
    cast.algorithms.announce(
        actor=world.people["alice"], collective=other, algorithm=world.algorithm, reason="Try."
    )
    assert letters.sweep() == 1
    assert NoticeMail.objects.filter(status="sent").count() == 2


def test_a_mail_server_that_is_down_loses_no_letter_and_logs_no_address(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def down(*args: object) -> int:
        raise ConnectionRefusedError("ivo@people.example refused")

    sending = EmailBackend.send_messages
    monkeypatch.setattr(EmailBackend, "send_messages", down)
    with caplog.at_level(logging.INFO):
        assert letters.sweep() == 0
    printed = capsys.readouterr()
    assert "people.example" not in caplog.text + printed.out + printed.err
    monkeypatch.setattr(EmailBackend, "send_messages", sending)
    assert letters.send_waiting(timezone.now()) == 0, "not before its time"
    assert letters.send_waiting(timezone.now() + timedelta(seconds=letters.AGAIN_SECONDS + 1)) == 1


def test_a_letter_that_somebody_else_is_sending_is_left_to_them(world: World) -> None:
    now = timezone.now()
    row = NoticeMail(
        link=world.link, notice_ref=str(world.admission.pk), kind="news", created_at=now, not_before=now
    )
    row.save()
    NoticeMail.objects.update(not_before=now + timedelta(seconds=60))
    assert letters._send([row], now, None) == 0
    assert mail.outbox == []
