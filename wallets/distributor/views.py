"""Service HTTP of the distributor (docs/protocol/interfaces.md, section 5). Views translate; services decide."""

from __future__ import annotations

import json
import uuid
from typing import Any

from wallets.distributor import config, selectors
from wallets.distributor.errors import Malformed
from wallets.distributor.service_http import service
from wallets.distributor.services import jobs, rounds, routes
from wallets.distributor.values import b64, hex_bytes, integer, text, uuid_of

Body = dict[str, Any]
DAY = 24 * 3600
MOST_AT_ONCE = 500


def _put_mailbox(*, body: Body, key: str) -> Body:
    routes.add_mailbox(key=hex_bytes(key, "the mailbox key"))
    return {}


def _delete_mailbox(*, body: Body, key: str) -> Body:
    routes.remove_mailbox(key=hex_bytes(key, "the mailbox key"))
    return {}


def _move_mailbox(*, body: Body, key: str) -> Body:
    to = hex_bytes(body.get("to"), "to")
    routes.move_mailbox(key=hex_bytes(key, "the mailbox key"), to=to)
    return {}


def _get_mailbox(*, body: Body, key: str) -> Body:
    return selectors.mailbox_status(hex_bytes(key, "the mailbox key"))


def _post_mail(*, body: Body, key: str) -> Body:
    mail = routes.post_mail(
        key=hex_bytes(key, "the mailbox key"),
        ref=text(body, "ref", 200),
        kind=text(body, "kind", 10),
        body=text(body, "body", routes.MAX_MAIL),
        expires=integer(body, "expires"),
    )
    return {"ref": mail.ref, "state": mail.state}


def _get_mail(*, body: Body, key: str, ref: str) -> Body:
    return selectors.mail_state(hex_bytes(key, "the mailbox key"), ref)


def _put_subscriber(*, body: Body, collective_id: uuid.UUID, key: str) -> Body:
    routes.add_subscribers(collective_id=collective_id, newcomers=[_newcomer(key, body)])
    return {}


def _put_subscribers(*, body: Body, collective_id: uuid.UUID) -> Body:
    told = body.get("subscribers")
    if not isinstance(told, dict) or not 1 <= len(told) <= MOST_AT_ONCE:
        raise Malformed(f"subscribers must be an object of 1 to {MOST_AT_ONCE} subscriptions by their keys.")
    routes.add_subscribers(
        collective_id=collective_id, newcomers=[_newcomer(key, one) for key, one in told.items()]
    )
    return {}


def _newcomer(key: str, body: Any) -> routes.Newcomer:
    if not isinstance(body, dict):
        raise Malformed("A subscription must be an object with terms_hash and expires.")
    mailbox = body.get("mailbox") or ""
    return routes.Newcomer(
        key=hex_bytes(key, "the subscription key"),
        terms_hash=hex_bytes(body.get("terms_hash"), "terms_hash"),
        expires=integer(body, "expires"),
        mailbox=hex_bytes(mailbox, "mailbox") if mailbox else "",
    )


def _delete_subscriber(*, body: Body, collective_id: uuid.UUID, key: str) -> Body:
    routes.stop_subscriber(
        collective_id=collective_id,
        key=hex_bytes(key, "the subscription key"),
        notify=body.get("notify") is True,
    )
    return {}


def _put_notice(*, body: Body, collective_id: uuid.UUID, ref: str) -> Body:
    envelope = _envelope(body)
    routes.post_notice(collective_id=collective_id, ref=ref, envelope=_compact(envelope))
    return selectors.notice_counts(collective_id, ref)


def _put_notice_to(*, body: Body, collective_id: uuid.UUID, ref: str, key: str) -> Body:
    routes.post_notice_to(
        collective_id=collective_id,
        ref=ref,
        envelope=_compact(_envelope(body)),
        key=hex_bytes(key, "the subscription key"),
    )
    return {}


def _get_notice(*, body: Body, collective_id: uuid.UUID, ref: str) -> Body:
    return selectors.notice_counts(collective_id, ref)


def _put_job(*, body: Body, job_id: uuid.UUID) -> Body:
    job = jobs.create(job_id=job_id, collective_id=uuid_of(body.get("collective_id"), "collective_id"))
    return {"cohort_commitment": job.cohort_commitment, "distributor_key": config.public_key().hex()}


def _put_announcement(*, body: Body, job_id: uuid.UUID) -> Body:
    jobs.announce(
        job_id=job_id,
        envelope=_envelope(body),
        enrol_seconds=integer(body, "enrol_seconds", 1, 30 * DAY),
    )
    return {}


def _get_job(*, body: Body, job_id: uuid.UUID) -> Body:
    return selectors.job_state(job_id)


def _delete_job(*, body: Body, job_id: uuid.UUID) -> Body:
    jobs.end(job_id=job_id)
    return {}


def _put_round(*, body: Body, job_id: uuid.UUID, number: int) -> Body:
    order = rounds.RoundOrder(
        number=number,
        task_body=b64(body, "task_body"),
        task_signature=b64(body, "task_sig"),
        payload=b64(body, "payload"),
        cohort=integer(body, "cohort", 1, 1_000_000),
        minimum=integer(body, "minimum", 1, 1_000_000),
        over_selection_ppm=integer(body, "over_selection_ppm", rounds.MILLION, 10 * rounds.MILLION),
        max_deliveries=integer(body, "max_deliveries", 1, 1_000_000),
        accept_seconds=integer(body, "accept_seconds", 1, DAY),
        coin_ppm=integer(body, "coin_ppm", 0, rounds.MILLION) if "coin_ppm" in body else 0,
    )
    rounds.open_round(job_id=job_id, order=order)
    return {}


def _get_round(*, body: Body, job_id: uuid.UUID, number: int) -> Body:
    return selectors.round_state(job_id, number)


def _envelope(body: Body) -> Body:
    envelope = body.get("envelope")
    if not isinstance(envelope, dict):
        raise Malformed("envelope must be a signed document.")
    return envelope


def _compact(value: Body) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


mailbox = service("market", PUT=_put_mailbox, DELETE=_delete_mailbox, GET=_get_mailbox)
moved_mailbox = service("market", PUT=_move_mailbox)
messages = service("market", POST=_post_mail)
message = service("market", GET=_get_mail)
subscriber = service("collectives", PUT=_put_subscriber, DELETE=_delete_subscriber)
subscribers = service("collectives", PUT=_put_subscribers)
notice = service("collectives", PUT=_put_notice, GET=_get_notice)
notice_to = service("collectives", PUT=_put_notice_to)
job = service("collectives", PUT=_put_job, GET=_get_job, DELETE=_delete_job)
announcement = service("collectives", PUT=_put_announcement)
round_ = service("collectives", PUT=_put_round, GET=_get_round)
