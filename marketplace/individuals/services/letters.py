"""Letters about notices: "there is something to decide in your wallet", and nothing about what or with whom.

A notice gives one letter when it is announced and one reminder at half time, none after an answer. Rows say what is to be
sent; a row is claimed by moving its time ahead, so that a worker that dies while sending loses no letter.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import override

from collectives import selectors as collectives
from collectives.models import Admission
from collectives.services.due import due
from marketplace.individuals.models import NoticeChoice, NoticeMail, SubscriptionLink

log = structlog.get_logger(__name__)
BATCH = 500
AGAIN_SECONDS = 300
Kind, Status = NoticeMail.Kind, NoticeMail.Status


def sweep() -> int:
    """Note which letters are due and send what waits; returns how many were sent."""
    now = timezone.now()
    for admission in collectives.running_notices():
        _note(_unwritten(admission, Kind.NEWS), admission, Kind.NEWS, now)
        half = admission.announced_at + (admission.effective_at - admission.announced_at) / 2
        if half <= now < admission.effective_at:
            _note(_to_remind(admission, half), admission, Kind.REMINDER, now)
    return send_waiting(now)


def nothing_to_write() -> bool:
    """No notice runs and no letter waits: `sweep` would find nothing."""
    return not collectives.a_notice_runs() and not _waiting(timezone.now()).exists()


def _unwritten(admission: Admission, kind: str) -> QuerySet[SubscriptionLink]:
    """Subscriptions of this collective without an answer given here and without a letter of this kind.

    Who agreed to the algorithm by subscribing has nothing to decide.
    """
    same = {"link": OuterRef("pk"), "notice_ref": str(admission.pk)}
    return SubscriptionLink.objects.filter(
        ~Exists(NoticeMail.objects.filter(**same, kind=kind)),
        ~Exists(NoticeChoice.objects.filter(**same)),
        collective_id=admission.collective_id,
        status=SubscriptionLink.Status.SUBSCRIBED,
        account__is_active=True,
    ).exclude(terms_hash__in=collectives.terms_naming(admission))


def _to_remind(admission: Admission, half: datetime) -> list[SubscriptionLink]:
    """Who had the news before half time and answered neither here nor in the wallet."""
    early = NoticeMail.objects.filter(
        link=OuterRef("pk"), notice_ref=str(admission.pk), kind=Kind.NEWS, created_at__lt=half
    )
    silent = list(_unwritten(admission, Kind.REMINDER).filter(Exists(early)))
    answered = collectives.answered(admission.pk, [link.subscription_key for link in silent])
    return [link for link in silent if link.subscription_key not in answered]


def _note(links: Any, admission: Admission, kind: str, now: datetime) -> None:
    rows = [
        NoticeMail(link=link, notice_ref=str(admission.pk), kind=kind, created_at=now, not_before=now)
        for link in links
    ]
    NoticeMail.objects.bulk_create(rows, batch_size=BATCH, ignore_conflicts=True)


def send_waiting(now: datetime) -> int:
    """One letter to each person, however many notices wait for them."""
    people: dict[Any, list[NoticeMail]] = defaultdict(list)
    for row in _waiting(now).select_related("link__account")[:BATCH]:
        people[row.link.account_id].append(row)
    if not people:
        return 0
    sent = 0
    with get_connection() as connection:
        for rows in people.values():
            sent += _send(rows, now, connection)
    return sent


def _waiting(now: datetime) -> QuerySet[NoticeMail]:
    return NoticeMail.objects.filter(_its_time(now), status=Status.WAITING)


def _its_time(now: datetime) -> Q:
    return due("not_before", now, longest=timedelta(seconds=AGAIN_SECONDS))


def _send(rows: list[NoticeMail], now: datetime, connection: Any) -> int:
    keys = [row.pk for row in rows]
    claimed = NoticeMail.objects.filter(_its_time(now), pk__in=keys, status=Status.WAITING).update(
        not_before=now + timedelta(seconds=AGAIN_SECONDS)
    )
    if claimed != len(keys):
        return 0  # another worker has some of them; the rest is sent next time
    account = rows[0].link.account
    reminder = all(row.kind == Kind.REMINDER for row in rows)
    try:
        _letter(account, reminder=reminder, connection=connection).send()
    except OSError as error:
        # No address and no text of the mail server: it repeats the address.
        log.warning("letter_not_sent", error=type(error).__name__)
        return 0
    NoticeMail.objects.filter(pk__in=keys).update(status=Status.SENT)
    return 1


def _letter(account: Any, *, reminder: bool, connection: Any) -> EmailMessage:
    with override(account.language or settings.LANGUAGE_CODE):
        subject = (
            _("Reminder: something to decide in your wallet")
            if reminder
            else _("Something to decide in your wallet")
        )
        body = _(
            "There is something to decide in your wallet.\n\n"
            "Look at it in your wallet itself, or here after signing in:\n%(address)s\n\n"
            "You have time until the date written there; if you do nothing, what you agreed to for this case applies.\n"
            "This letter says no more on purpose: what it is about is nobody else's business.\n"
        ) % {"address": settings.SITE_URL + reverse("wallet")}
    return EmailMessage(subject=subject, body=body, to=[account.email], connection=connection)
