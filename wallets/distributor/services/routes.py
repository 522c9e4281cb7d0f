"""Routes to wallets: mailboxes and their mail, subscribers, notices. Every call is idempotent by its key or reference."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet

from wallets.distributor import config
from wallets.distributor.errors import Conflict, Malformed, Unknown
from wallets.distributor.models import (
    ALIAS,
    Enrolment,
    Invitation,
    Mail,
    Mailbox,
    Notice,
    Presence,
    Round,
    Subscriber,
)
from wallets.distributor.wakeups import enqueue, tell_hubs

MAX_MAIL = 48 * 1024
"""A mail fits into one frame of 64 KiB with its envelope."""
REVOKED_KEPT_SECONDS = 365 * 24 * 3600
NOTICE_KEPT_SECONDS = 90 * 24 * 3600
ONLINE_SECONDS = 3 * config.HEARTBEAT_SECONDS


def add_mailbox(*, key: str) -> None:
    Mailbox.objects.get_or_create(key=key, defaults={"created": config.now()})


@transaction.atomic(using=ALIAS)
def remove_mailbox(*, key: str) -> None:
    Mail.objects.filter(key=key).delete()
    Presence.objects.filter(key=key).delete()
    Mailbox.objects.filter(key=key).delete()
    Subscriber.objects.filter(mailbox=key).update(mailbox="")


@transaction.atomic(using=ALIAS)
def move_mailbox(*, key: str, to: str) -> None:
    """Give a mailbox another key; what still waits goes along and is told to whoever answers under the new key.

    Raises:
        Unknown: neither key has a mailbox.
        Malformed: both keys are the same.
    """
    if key == to:
        raise Malformed("A mailbox moves to another key than its own.")
    old = Mailbox.objects.select_for_update().filter(key=key).first()
    if old is None:
        if Mailbox.objects.filter(key=to).exists():
            return
        raise Unknown("There is no such mailbox; pair the wallet again.")
    Mailbox.objects.get_or_create(key=to, defaults={"created": old.created})
    Subscriber.objects.filter(mailbox=key).update(mailbox=to)
    taken = set(Mail.objects.filter(key=to).values_list("ref", flat=True))
    Mail.objects.filter(key=key).exclude(ref__in=taken).update(key=to)
    remove_mailbox(key=key)
    for mail in Mail.objects.filter(key=to, state=Mail.State.WAITING).order_by("pk"):
        tell_hubs(mail=mail.pk)


@transaction.atomic(using=ALIAS)
def post_mail(*, key: str, ref: str, kind: str, body: str, expires: int) -> Mail:
    """Leave a mail in a mailbox.

    Raises:
        Unknown: no such mailbox.
        Conflict: the reference was used for another mail.
    """
    if kind not in Mail.Kind.values:
        raise Malformed(f"kind must be one of {', '.join(Mail.Kind.values)}.")
    if len(body.encode()) > MAX_MAIL:
        raise Malformed(f"A mail holds at most {MAX_MAIL} bytes.", code="too_large", status=413)
    if not Mailbox.objects.filter(key=key).exists():
        raise Unknown("There is no such mailbox; pair the wallet again.")
    return leave_mail(key=key, ref=ref, kind=kind, body=body, expires=expires)


def leave_mail(*, key: str, ref: str, kind: str, body: str, expires: int) -> Mail:
    """A mail for any key, inside the caller's transaction; the same reference is the same mail.

    Raises:
        Conflict: the reference was used for another mail.
    """
    mail, created = Mail.objects.get_or_create(
        key=key,
        ref=ref,
        defaults={"kind": kind, "body": body, "expires": expires, "created": config.now()},
    )
    if not created and (mail.kind, mail.body) != (kind, body):
        raise Conflict("This reference was used for another mail.")
    if created:
        tell_hubs(mail=mail.pk)
    return mail


@dataclass(frozen=True, kw_only=True)
class Newcomer:
    """A subscription as its collective tells of it."""

    key: str
    terms_hash: str
    expires: int
    mailbox: str = ""


@transaction.atomic(using=ALIAS)
def add_subscribers(*, collective_id: uuid.UUID, newcomers: Sequence[Newcomer]) -> None:
    """All of them or none; who is known already is known with these values from now on.

    Raises:
        Conflict: a key serves another collective, or its subscription was stopped.
    """
    locked = Subscriber.objects.select_for_update().filter(key__in=[one.key for one in newcomers])
    known = {row.key: row for row in locked.order_by("pk")}
    fresh = []
    for one in newcomers:
        values = {"terms_hash": one.terms_hash, "expires": one.expires, "mailbox": one.mailbox}
        before = known.get(one.key)
        if before is None:
            fresh.append(Subscriber(collective_id=collective_id, key=one.key, created=config.now(), **values))
        elif before.collective_id != collective_id:
            raise Conflict("This subscription key serves another collective; use a fresh key.")
        elif before.state == Subscriber.State.STOPPED:
            raise Conflict("This subscription was stopped; subscribe again with a fresh key.", code="stopped")
        else:
            Subscriber.objects.filter(pk=before.pk).update(**values)
    Subscriber.objects.bulk_create(fresh)


@transaction.atomic(using=ALIAS)
def stop_subscriber(*, collective_id: uuid.UUID, key: str, notify: bool) -> None:
    """From the commit on nothing is sent to this key but, with `notify`, that the subscription was revoked."""
    Subscriber.objects.filter(collective_id=collective_id, key=key).update(state=Subscriber.State.STOPPED)
    Enrolment.objects.filter(
        subscription_key=key, job__collective_id=collective_id, state=Enrolment.State.ASKED
    ).update(state=Enrolment.State.DECLINED)
    # A cohort that was told to the aggregator stays as it was told, or its lists could not be signed: who has left is
    # in it, gets nothing, and drops out.
    inviting = Round.objects.select_for_update().filter(
        job__collective_id=collective_id, state=Round.State.INVITING
    )
    Invitation.objects.filter(
        enrolment__subscription_key=key,
        round__in=[row.pk for row in inviting],
        state__in=[Invitation.State.INVITED, Invitation.State.ACCEPTED],
    ).update(state=Invitation.State.CANCELLED)
    in_a_cohort = Invitation.objects.filter(
        enrolment__subscription_key=key,
        enrolment__job__collective_id=collective_id,
        state__in=[Invitation.State.ACCEPTED, Invitation.State.DELIVERED],
        round__state__in=[Round.State.DELIVERING, Round.State.DELIVERED],
    )
    for invitation in in_a_cohort:
        enqueue("distributor.tell_left", invitation.pk)
    Mail.objects.filter(key=key, kind=Mail.Kind.NOTICE, state=Mail.State.WAITING).update(
        state=Mail.State.EXPIRED
    )
    if notify:
        leave_mail(
            key=key,
            ref=f"revoked:{collective_id}",
            kind=Mail.Kind.REVOKED,
            body=f'{{"collective_id":"{collective_id}"}}',
            expires=config.now() + REVOKED_KEPT_SECONDS,
        )


@transaction.atomic(using=ALIAS)
def post_notice(*, collective_id: uuid.UUID, ref: str, envelope: str) -> Notice:
    """Address a notice to every subscriber of the collective. Repeating it addresses those who came in between."""
    notice = _notice(collective_id, ref, envelope)
    expires = config.now() + NOTICE_KEPT_SECONDS
    told = Mail.objects.filter(ref=ref, kind=Mail.Kind.NOTICE)
    keys = _reachable(collective_id).exclude(key__in=told.values("key"))
    Mail.objects.bulk_create(
        [
            Mail(
                key=key, ref=ref, kind=Mail.Kind.NOTICE, body=envelope, expires=expires, created=config.now()
            )
            for key in keys.values_list("key", flat=True)
        ],
        ignore_conflicts=True,
        batch_size=500,
    )
    notice.addressed = told.count()
    notice.save(update_fields=["addressed"])
    tell_hubs(notice=ref)
    return notice


@transaction.atomic(using=ALIAS)
def post_notice_to(*, collective_id: uuid.UUID, ref: str, envelope: str, key: str) -> None:
    """Address a notice to one subscriber, who came after it was sent to all; repeating it changes nothing.

    Looking at one row and not at all subscribers: a collective that grows while an algorithm is announced calls this for each newcomer.
    """
    notice = _notice(collective_id, ref, envelope)
    before = Mail.objects.filter(key=key, ref=ref).exists()
    if before or not _reachable(collective_id).filter(key=key).exists():
        return
    expires = config.now() + NOTICE_KEPT_SECONDS
    leave_mail(key=key, ref=ref, kind=Mail.Kind.NOTICE, body=envelope, expires=expires)
    notice.addressed += 1
    notice.save(update_fields=["addressed"])


def _notice(collective_id: uuid.UUID, ref: str, envelope: str) -> Notice:
    """The notice, locked: two calls count who was addressed one after the other."""
    if len(envelope.encode()) > MAX_MAIL:
        raise Malformed(f"A notice holds at most {MAX_MAIL} bytes.", code="too_large", status=413)
    notice, created = Notice.objects.select_for_update().get_or_create(
        collective_id=collective_id, ref=ref, defaults={"envelope": envelope, "created": config.now()}
    )
    if not created and notice.envelope != envelope:
        raise Conflict("This notice was sent with another text.")
    return notice


def _reachable(collective_id: uuid.UUID) -> QuerySet[Subscriber]:
    return Subscriber.objects.filter(collective_id=collective_id).exclude(state=Subscriber.State.STOPPED)


def expire_mail() -> int:
    """Mark what was not fetched in time; returns how many."""
    late = Mail.objects.filter(state=Mail.State.WAITING, expires__lte=config.now())
    # Looked for first: on SQLite a change that finds nothing waits for the one writer all the same.
    return late.update(state=Mail.State.EXPIRED, body="") if late.exists() else 0
