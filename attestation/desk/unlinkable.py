"""The desk's side of proofs that link nothing: keys made once, an offer with each collection, a credential per field.

Each has a place in a registry, by which it is revoked (`registries`), and lives at most 90 days (`predicates.LONGEST`).
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from celery import current_app
from django.db import transaction

from aggregation.wire.secret import Secret
from attestation.desk import registries, sealing
from attestation.desk.errors import DeskError
from attestation.desk.models import Issuer
from attestation.formats import predicates
from attestation.formats.definition import Definition, make_definition, open_definition
from attestation.formats.errors import AttestationError

logger = logging.getLogger(__name__)


def make_keys(issuer: Issuer) -> None:
    """Keys for such proofs; takes up to a minute. Repeating it changes nothing, also at the same time."""
    if issuer.definition:
        return
    private = Secret(sealing.unseal(bytes(issuer.sealed_key), issuer.pk.bytes))
    definition, kept = make_definition(private)
    sealed = sealing.seal(json.dumps(kept).encode(), issuer.pk.bytes + b"definition")
    with transaction.atomic(using="issuer"):
        # Whoever was faster has perhaps attested with its keys already.
        mine = Issuer.objects.filter(pk=issuer.pk, definition="").update(
            definition=definition.token, sealed_definition=sealed, definition_wanted=False
        )
        issuer.refresh_from_db()
        if mine:
            last = issuer.registries.last()  # of keys that the desk had before
            registries.make(issuer, definition, last.number + 1 if last else 1)


def ask_for_keys(issuer: Issuer) -> None:
    """Have a worker make them, because a page cannot wait so long. One desk of an account at a time.

    Raises:
        DeskError: `busy` while another desk of the account waits for its keys.
    """
    with transaction.atomic(using="issuer"):
        desks = Issuer.objects.select_for_update().filter(account=issuer.account)
        if any(one.definition_wanted for one in desks if one.pk != issuer.pk):
            raise DeskError("busy", "Another desk of yours waits for its keys. Try again in a minute.")
        Issuer.objects.filter(pk=issuer.pk, definition="").update(definition_wanted=True)
        transaction.on_commit(wake_maker, using="issuer")


def wake_maker() -> None:
    """Tell the worker for long tasks, where some desk waits. A lost word is said again by the sweep."""
    if not Issuer.objects.filter(definition_wanted=True).exists():
        return
    try:
        current_app.send_task("issuer.keys", queue="audits", retry=False, ignore_result=True)
    except Exception as error:  # any broker or transport error
        logger.warning("keys of a desk wait for the next sweep: %s", type(error).__name__)


def make_wanted() -> int:
    """The keys that were asked for, desk by desk; how many."""
    wanted = list(Issuer.objects.filter(definition_wanted=True))
    for issuer in wanted:
        make_keys(issuer)
    return len(wanted)


def offers(issuer: Issuer) -> dict[str, Any]:
    """`{"unlinkable": {definition, offer}}`, or nothing where the desk has no keys for it."""
    if not issuer.definition:
        return {}
    definition, kept = _keys(issuer)
    return {"unlinkable": {"definition": definition.token, "offer": predicates.offer(definition, kept)}}


def issue(
    *, code: str, holder_key: str, created: int, signature: str, requests: Mapping[str, Any]
) -> dict[str, Any]:
    """`credentials` field -> credential, for `requests` field -> `{offer, request}`, only for fields this code stands for; their `registry`.

    Raises:
        DeskError: as `services.collect`; `bad_request` for a field or a request that does not belong here.
    """
    from attestation.desk import services

    found, offer = services.claim(code=code, holder_key=holder_key, created=created, signature=signature)
    if not found.issuer.definition or not set(requests) <= set(offer["record"]):
        raise DeskError("bad_request", "This desk attests no such field without linking.")
    definition, kept = _keys(found.issuer)
    registry, registry_kept = registries.opened(
        registries.place(found, definition, offer["record"]), definition
    )
    now = int(time.time())
    expires = min(int(found.expires_at.timestamp()), now + predicates.LONGEST)
    try:
        made = {
            name: predicates.issue(
                definition,
                kept,
                offered=asked["offer"],
                requested=asked["request"],
                rule=offer["facts"][name],
                count=_count(offer["record"][name]),
                # The day only: the second would tell this credential from others of its day.
                expires=expires - expires % predicates.DAY,
                registry=registry,
                registry_kept=registry_kept,
                place=found.places[name],
                now=now,
            )
            for name, asked in requests.items()
        }
    except (AttestationError, KeyError, TypeError) as error:
        raise DeskError(
            "bad_request", "The request does not fit the offer. Collect the credential again."
        ) from error
    return {"credentials": made, "registry": registry.token}


def _count(value: Any) -> int:
    return len(value) if isinstance(value, list) else 1


def _keys(issuer: Issuer) -> tuple[Definition, dict[str, Any]]:
    assert issuer.sealed_definition is not None
    kept = json.loads(sealing.unseal(bytes(issuer.sealed_definition), issuer.pk.bytes + b"definition"))
    return open_definition(issuer.definition, issuers=[issuer.did]), kept
