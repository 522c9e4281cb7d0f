"""Which credentials for proofs that link nothing were revoked: AnonCreds revocation registries (CL accumulators) in one closed form.

A registry has `SIZE` places, and a credential one of them. The issuer signs the registry once and, for anybody, the list of what is
revoked now. A proof shows, without saying which place is its own, that it is none of those; whoever proves hands in the list it proved
against, as the issuer signed it, and whoever verifies sees that it is at most `LIFETIME` old. So nobody but the wallet asks the issuer,
and the issuer does not learn where something is shown.

A list is made anew every `STEP` seconds and has the same bytes for everybody who asks in between; it and the registry are all that a
proof has in common with others. An issuer that made a registry for one person would recognise it: of the person's trust in an issuer
nothing here makes more than it is.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anoncreds

from aggregation.wire.secret import Secret
from attestation.formats import jws
from attestation.formats.definition import Definition, guarded, to_json
from attestation.formats.did_key import base58, key_of
from attestation.formats.errors import AttestationError

TYP, LIST_TYP = "anoncreds-registry+jwt", "anoncreds-revocations+jwt"
SIZE = 1024
SMALLEST, LARGEST = 16, 4096
STEP, LIFETIME = 300, 900
LARGEST_TOKEN, LARGEST_TAILS = 64 * 1024, 256 * LARGEST + 1024
CLOCK_SKEW = 60


@dataclass(frozen=True, kw_only=True)
class Registry:
    """The public part of a registry, vouched for by its issuer. `uri` is where its list is, and below it its tails."""

    issuer: str
    id: str
    uri: str
    size: int
    value: Mapping[str, Any] = field(repr=False)
    token: str = field(repr=False)

    @property
    def tails_uri(self) -> str:
        return f"{self.uri}/tails"


@dataclass(frozen=True, kw_only=True)
class Revocations:
    """What was revoked at `timestamp` (unix seconds)."""

    timestamp: int
    value: Mapping[str, Any] = field(repr=False)
    token: str = field(repr=False)

    def revoked(self, place: int) -> bool:
        return bool(self.value["revocationList"][place])


def make_registry(
    private: Secret, definition: Definition, *, number: int, uri: str, size: int
) -> tuple[Registry, dict[str, Any], bytes]:
    """A fresh registry: (what is published, what the issuer keeps sealed, the tails, which are public too). About a millisecond a place."""
    with tempfile.TemporaryDirectory() as folder:
        made, secret = anoncreds.RevocationRegistryDefinition.create(
            definition.id,
            anoncreds.CredentialDefinition.load(to_json(definition.keys)),
            definition.issuer,
            str(number),
            "CL_ACCUM",
            size,
            tails_dir_path=folder,
        )
        (file,) = Path(folder).iterdir()
        tails = file.read_bytes()
    value = dict(made.to_dict())
    value["value"]["tailsLocation"] = f"{uri}/tails"
    said = {"iss": definition.issuer, "sub": f"{definition.id}/{number}", "uri": uri, "registry": value}
    registry = open_registry(jws.sign(private, {"typ": TYP}, said), definition=definition)
    return registry, dict(secret.to_dict()), tails


def open_registry(token: str, *, definition: Definition) -> Registry:
    """Raises:
    AttestationError: `bad_signature`, `malformed`, also for a registry of other keys.
    """
    if len(token) > LARGEST_TOKEN:
        raise _malformed()
    said = jws.verify(token, key_of(definition.issuer), TYP)
    value, uri, ident = said.get("registry"), said.get("uri"), said.get("sub")
    if not isinstance(value, dict) or not isinstance(value.get("value"), dict):
        raise _malformed()
    size = value["value"].get("maxCredNum")
    fits = value.get("credDefId") == definition.id and value.get("revocDefType") == "CL_ACCUM"
    named = isinstance(ident, str) and ident.startswith(f"{definition.id}/") and isinstance(uri, str)
    if not fits or not named or type(size) is not int or not SMALLEST <= size <= LARGEST:
        raise _malformed()
    return Registry(
        issuer=definition.issuer, id=str(ident), uri=str(uri), size=size, value=value, token=token
    )


def issue_list(
    private: Secret,
    definition: Definition,
    registry: Registry,
    kept: Mapping[str, Any],
    *,
    revoked: Collection[int],
    now: int,
) -> str:
    """The signed list, the same for everybody who asks within a step. `revoked` are places."""
    since = now - now % STEP
    listed = fresh_list(definition, registry, kept, since)
    if revoked:
        listed = listed.update(
            anoncreds.CredentialDefinition.load(to_json(definition.keys)),
            anoncreds.RevocationRegistryDefinition.load(to_json(registry.value)),
            anoncreds.RevocationRegistryDefinitionPrivate.load(to_json(kept)),
            None,
            sorted(revoked),
            since,
        )
    said = {"iss": registry.issuer, "sub": registry.id, "iat": since, "exp": since + LIFETIME}
    return jws.sign(private, {"typ": LIST_TYP}, said | {"list": dict(listed.to_dict())})


def fresh_list(definition: Definition, registry: Registry, kept: Mapping[str, Any], since: int) -> Any:
    """The library's list with nothing revoked."""
    return anoncreds.RevocationStatusList.create(
        anoncreds.CredentialDefinition.load(to_json(definition.keys)),
        registry.id,
        anoncreds.RevocationRegistryDefinition.load(to_json(registry.value)),
        anoncreds.RevocationRegistryDefinitionPrivate.load(to_json(kept)),
        registry.issuer,
        True,
        since,
    )


def open_list(token: str, *, registry: Registry, now: int) -> Revocations:
    """Raises:
    AttestationError: `status_unknown` for a list that cannot be relied on.
    """
    try:
        if len(token) > LARGEST_TOKEN:
            raise _malformed()
        said = jws.verify(token, key_of(registry.issuer), LIST_TYP)
        value, since, ends = said["list"], said["iat"], said["exp"]
        fresh = since - CLOCK_SKEW <= now < ends <= since + LIFETIME
        right = said["iss"] == registry.issuer and said["sub"] == value["revRegDefId"] == registry.id
        whole = value["timestamp"] == since and len(value["revocationList"]) == registry.size
    except (AttestationError, KeyError, TypeError):
        raise _unknown(
            "The issuer's list of revoked credentials is not one that its issuer signed."
        ) from None
    if not (fresh and right and whole):
        raise _unknown(
            "The issuer's list of revoked credentials is out of date or another one. Try again later."
        )
    return Revocations(timestamp=since, value=value, token=token)


def witness(registry: Registry, listed: Revocations, place: int, tails: bytes) -> Any:
    """What a proof needs besides the credential.

    Raises:
        AttestationError: `malformed` for tails that are not this registry's.
    """
    if base58(hashlib.sha256(tails).digest()) != registry.value["value"].get("tailsHash"):
        raise AttestationError("malformed", "The issuer's tails are not those of its registry.")
    with tempfile.NamedTemporaryFile(prefix="cssi-tails-") as file:
        file.write(tails)
        file.flush()
        return guarded(
            lambda: anoncreds.CredentialRevocationState.create(
                to_json(registry.value), to_json(listed.value), place, file.name
            )
        )


def _malformed() -> AttestationError:
    return AttestationError("malformed", "The issuer's registry of revocations has not the agreed form.")


def _unknown(sentence: str) -> AttestationError:
    return AttestationError("status_unknown", sentence)
