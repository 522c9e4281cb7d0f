"""The desk's side of revoking credentials for proofs that link nothing: places in registries, and the signed list of what is revoked.

What is revoked is what the credentials' rows say; a list is made of them whenever somebody asks, so none is kept that could differ.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Collection, Mapping
from typing import Any

from django.conf import settings
from django.db import transaction

from aggregation.wire.secret import Secret
from attestation.desk import sealing
from attestation.desk.models import Credential, Issuer, Registry
from attestation.formats import registry as formats
from attestation.formats.definition import Definition, open_definition


def place(credential: Credential, definition: Definition, fields: Collection[str]) -> Registry:
    """Give each field a free place of one registry, drawn at random; what has places keeps them, however often it is collected."""
    with transaction.atomic(using="issuer"):
        Issuer.objects.select_for_update().get(pk=credential.issuer_id)  # one after the other
        credential.refresh_from_db(fields=["registry", "places"])
        if credential.registry is None:
            last = Registry.objects.filter(issuer=credential.issuer).last()
            free = _free(last) if last else []
            if last is None or len(free) < len(fields):
                last = make(credential.issuer, definition, last.number + 1 if last else 1)
                free = _free(last)
            credential.registry = last
            drawn = secrets.SystemRandom().sample(free, len(fields))
            credential.places = dict(zip(sorted(fields), drawn, strict=True))
            credential.save(update_fields=["registry", "places"])
    return credential.registry


def make(issuer: Issuer, definition: Definition, number: int) -> Registry:
    """A fresh registry; takes about a second. The first comes with the keys, others when the last is full."""
    uri = f"{settings.ISSUER_URL}/{issuer.pk}/registry/{number}"
    made, kept, tails = formats.make_registry(
        _private(issuer), definition, number=number, uri=uri, size=formats.SIZE
    )
    sealed = sealing.seal(json.dumps(kept).encode(), _belongs(issuer, number))
    return Registry.objects.create(
        issuer=issuer,
        number=number,
        size=made.size,
        token=made.token,
        sealed_private=sealed,
        tails=tails,
    )


def opened(registry: Registry, definition: Definition) -> tuple[formats.Registry, Mapping[str, Any]]:
    """(what is published, what is kept)."""
    sealed = bytes(registry.sealed_private)
    kept = json.loads(sealing.unseal(sealed, _belongs(registry.issuer, registry.number)))
    return formats.open_registry(registry.token, definition=definition), kept


def revocations(registry: Registry) -> str:
    """The signed list of a registry, for anybody."""
    issuer = registry.issuer
    definition = open_definition(issuer.definition, issuers=[issuer.did])
    public, kept = opened(registry, definition)
    gone = registry.credentials.filter(status=Credential.Status.REVOKED).values_list("places", flat=True)
    revoked = {number for places in gone for number in places.values()}
    return formats.issue_list(
        _private(issuer), definition, public, kept, revoked=revoked, now=int(time.time())
    )


def _free(registry: Registry) -> list[int]:
    used = {n for places in registry.credentials.values_list("places", flat=True) for n in places.values()}
    return [number for number in range(1, registry.size) if number not in used]


def _private(issuer: Issuer) -> Secret:
    return Secret(sealing.unseal(bytes(issuer.sealed_key), issuer.pk.bytes))


def _belongs(issuer: Issuer, number: int) -> bytes:
    return issuer.pk.bytes + b"registry" + number.to_bytes(8, "big")
