"""Service HTTP of the aggregator (docs/protocol/interfaces.md, section 5). Views translate; services decide."""

from __future__ import annotations

import base64
import uuid
from typing import Any

from aggregation.server import selectors
from aggregation.server.errors import Malformed
from aggregation.server.service_http import service
from aggregation.server.services import epochs, exclusions, members, opening, results, shares, signing
from aggregation.server.values import b64, b64_list, flag, hex_bytes, integer, money, one_of, uuid_of
from aggregation.tampering.rules import RULES
from aggregation.wire.secret import Secret

Body = dict[str, Any]
PHASES = ("advertise", "share_keys", "masked_input", "consistency", "unmask")
LARGEST = 1 << 28


def _put_members(*, body: Body, job_id: uuid.UUID) -> Body:
    members.put_members(
        job_id=job_id,
        collective_id=uuid_of(body.get("collective_id"), "collective_id"),
        rate=money(body, "rate"),
        manifest_hash=hex_bytes(body.get("manifest_hash"), "manifest_hash"),
        enrolments=b64_list(body, "enrolments"),
        log_root=hex_bytes(body.get("log_root"), "log_root"),
        signature=b64(body, "signature"),
    )
    return {}


def _put_round(*, body: Body, job_id: uuid.UUID, number: int) -> Body:
    seconds = body.get("phase_seconds")
    if not isinstance(seconds, dict) or set(seconds) != set(PHASES):
        raise Malformed(f"phase_seconds must name {', '.join(PHASES)}.")
    order = opening.RoundOrder(
        manifest_hash=hex_bytes(body.get("manifest_hash"), "manifest_hash"),
        checkpoint_hash=hex_bytes(body.get("checkpoint_hash"), "checkpoint_hash"),
        requirement_hash=hex_bytes(body.get("requirement_hash"), "requirement_hash"),
        d=integer(body, "d", 1, LARGEST),
        clip_micro=integer(body, "clip_micro", 1),
        noise_micro=integer(body, "noise_micro"),
        q=integer(body, "q", 2, 32),
        f=integer(body, "f", 0, 30),
        bucket_size=integer(body, "bucket_size", 2),
        bucket_min=integer(body, "bucket_min", 2),
        release_min=integer(body, "release_min", 2),
        cohort=integer(body, "cohort", 2),
        development=flag(body, "development"),
        phase_seconds={name: integer(seconds, name, 1) for name in PHASES},
        rotated=flag(body, "rotated"),
        rule=one_of(body, "rule", RULES),
        **(
            {"threshold_ppm": integer(body, "threshold_ppm", 500_001, 1_000_000)}
            if "threshold_ppm" in body
            else {}
        ),
    )
    row = opening.open_round(job_id=job_id, number=number, order=order)
    return {"header": base64.b64encode(bytes(row.header)).decode(), "header_hash": row.header_hash}


def _get_round(*, body: Body, job_id: uuid.UUID, number: int) -> Body:
    return selectors.round_state(job_id, number)


def _delete_round(*, body: Body, job_id: uuid.UUID, number: int) -> Body:
    results.stop(job_id=job_id, number=number)
    return {}


def _put_cohort(*, body: Body, job_id: uuid.UUID, number: int) -> Body:
    tickets = body.get("tickets")
    keys = body.get("job_keys")
    if (
        not isinstance(tickets, dict)
        or not isinstance(keys, list)
        or sorted(tickets) != sorted(map(str, keys))
    ):
        raise Malformed("tickets must hold one ticket for every job key.")
    checked = {
        hex_bytes(key, "a job key"): hex_bytes(ticket, "a ticket", 16) for key, ticket in tickets.items()
    }
    opening.put_cohort(job_id=job_id, number=number, tickets=checked)
    return {}


def _delete_place(*, body: Body, job_id: uuid.UUID, number: int, job_key: str) -> Body:
    opening.will_not_come(job_id=job_id, number=number, job_key=hex_bytes(job_key, "a job key"))
    return {}


def _get_sum(*, body: Body, job_id: uuid.UUID, number: int) -> Body:
    return selectors.round_sum(job_id, number)


def _post_collected(*, body: Body, job_id: uuid.UUID, number: int) -> Body:
    results.collected(
        job_id=job_id,
        number=number,
        checkpoint_hash=hex_bytes(body.get("checkpoint_hash"), "checkpoint_hash"),
    )
    return {}


def _get_requests(*, body: Body) -> list[Body]:
    wait = str(body.get("wait", "0"))
    if not wait.isascii() or not wait.isdecimal() or len(wait) > 4:
        raise Malformed("wait is a number of seconds.")
    return selectors.signing_requests(float(wait))


def _post_signature(*, body: Body, request_id: uuid.UUID) -> Body:
    signing.take_signature(request_id=request_id, signature=b64(body, "signature"))
    return {}


def _get_letters(*, body: Body) -> list[Body]:
    return exclusions.letters()


def _post_letter(*, body: Body, exclusion_id: uuid.UUID) -> Body:
    exclusions.handed(exclusion_id, integer(body, "revision", 1, 2**31 - 1))
    return {}


members_ = service("distributor", PUT=_put_members)
round_ = service("collectives", PUT=_put_round, GET=_get_round, DELETE=_delete_round)
cohort = service("distributor", PUT=_put_cohort)
place = service("distributor", DELETE=_delete_place)
sum_ = service("collectives", GET=_get_sum)
collected = service("collectives", POST=_post_collected)
signing_requests = service("distributor", GET=_get_requests)
signing_request = service("distributor", POST=_post_signature)
letters = service("distributor", GET=_get_letters)
letter = service("distributor", POST=_post_letter)


def _post_epoch(*, body: Body) -> Body:
    jobs = body.get("final_jobs") or []
    if not isinstance(jobs, list):
        raise Malformed("final_jobs must be a list of job ids.")
    order = epochs.EpochOrder(
        epoch=integer(body, "epoch", 0, 2**31 - 1),
        final_jobs=tuple(str(uuid_of(job, "a job id")) for job in jobs),
        lot=money(body, "lot"),
        min_recipients=integer(body, "min_recipients"),
        min_collectives=integer(body, "min_collectives"),
        sales=tuple(_sale(sale) for sale in body.get("sales") or []),
    )
    return epochs.close(order)


def _sale(value: Any) -> shares.SaleOrder:
    if not isinstance(value, dict) or not isinstance(value.get("keys"), dict):
        raise Malformed("A sale has sale_id, job_id, amount, and keys by epoch.")
    return shares.SaleOrder(
        sale_id=uuid_of(value.get("sale_id"), "sale_id"),
        job_id=uuid_of(value.get("job_id"), "job_id"),
        amount=money(value, "amount"),
        keys={
            integer({"epoch": int(epoch) if epoch.isdecimal() else None}, "epoch"): _secret(key)
            for epoch, key in value["keys"].items()
        },
    )


def _secret(value: Any) -> Secret:
    return Secret(bytes.fromhex(hex_bytes(value, "a key")))


def _get_epoch(*, body: Body, number: int) -> Body:
    return epochs.statement(number)


def _post_settled(*, body: Body, number: int) -> Body:
    keep = body.get("keep") or []
    if not isinstance(keep, list):
        raise Malformed("keep must be a list of job ids.")
    seal = _secret(body["seal"]) if "seal" in body else None
    epochs.settled(number, [uuid_of(job, "a job id") for job in keep], seal)
    return {}


def _get_shares(*, body: Body, job_id: uuid.UUID) -> Body:
    return shares.kept(job_id)


def _get_totals(*, body: Body) -> Body:
    return dict(epochs.totals())


epochs_ = service("market", POST=_post_epoch)
epoch = service("market", GET=_get_epoch)
settled = service("market", POST=_post_settled)
totals = service("market", GET=_get_totals)
shares_ = service("market", GET=_get_shares)
