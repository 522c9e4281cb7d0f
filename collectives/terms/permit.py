"""The documents around a subscription and a job; fields as in docs/protocol/interfaces.md, section 2.

Each class parses strictly (`parse`), writes itself back (`to_document`), and is frozen. Signatures are the envelope's matter,
but for `Task`, which is CBOR because it carries the aggregation header as bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from aggregation.wire import cbor, signing
from aggregation.wire.errors import WireError
from aggregation.wire.secret import Secret
from collectives.terms import agreement as agreements
from collectives.terms import classes
from collectives.terms import fields as f
from collectives.terms.algorithm import manifest_hash
from collectives.terms.errors import TermsError
from collectives.terms.presence import check_presence
from collectives.terms.sentences import Sentence

TASK_LABEL = b"cssi/v1/task"
CHOICES = ("with", "without", "leave")
Reader = Callable[[Mapping[str, Any], str], Any]


def _hash32(m: Mapping[str, Any], name: str) -> str:
    return f.hex_bytes(m, name, 32)


def _text(m: Mapping[str, Any], name: str) -> str:
    return f.text(m, name, most=4000)


def _any(m: Mapping[str, Any], name: str) -> Any:
    return m[name]


def _silence(m: Mapping[str, Any], name: str) -> str:
    return f.one_of(m, name, ("without", "with"))


def _choice(m: Mapping[str, Any], name: str) -> str:
    return f.one_of(m, name, CHOICES)


def _mapping(m: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if not isinstance(m[name], Mapping):
        raise TermsError("malformed", "%(name)s must be a JSON object.", name=name)
    found: Mapping[str, Any] = m[name]
    return found


class _Document:
    """Shared reading and writing: `READERS` names each field and how it is read; version is always 1."""

    READERS: ClassVar[Mapping[str, Reader]]
    OPTIONAL: ClassVar[Mapping[str, Reader]] = {}
    """Fields that came later: absent in older documents, and written only when they are not empty."""
    MONEY: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def parse(cls, document: Any) -> Self:
        """Raises:
        TermsError: names the field that is missing, unknown or wrong.
        """
        later = [name for name in cls.OPTIONAL if isinstance(document, Mapping) and name in document]
        m = f.exactly(document, ("version", *cls.READERS, *later), Sentence("A %(name)s", name=cls.__name__))
        if m["version"] != 1:
            raise TermsError("malformed", "This program knows version 1 of a %(name)s.", name=cls.__name__)
        readers = {**cls.READERS, **{name: cls.OPTIONAL[name] for name in later}}
        found = cls(**{name: read(m, name) for name, read in readers.items()})
        found._check()
        return found

    def _check(self) -> None:
        """Rules across fields; none by default."""

    def to_document(self) -> dict[str, Any]:
        document: dict[str, Any] = {"version": 1}
        for name in self.READERS:
            value = getattr(self, name)
            if name in self.MONEY:
                value = str(value)
            document[name] = list(value) if isinstance(value, tuple) else value
        document |= {name: value for name in self.OPTIONAL if (value := getattr(self, name))}
        return document


@dataclass(frozen=True, kw_only=True)
class Offer(_Document):
    """Market → wallet: somebody's click on Subscribe, with the signed terms it was about."""

    collective_id: str
    terms: Mapping[str, Any]
    offer_ref: str
    reply_url: str
    valid_seconds: int = 0
    """How long the person wants it to last at most; 0: as long as the terms say."""

    OPTIONAL = {"valid_seconds": lambda m, n: f.integer(m, n, 3600, 10 * 365 * 24 * 3600)}
    READERS = {"collective_id": f.uuid, "terms": _mapping, "offer_ref": _text, "reply_url": _text}


@dataclass(frozen=True, kw_only=True)
class Subscription(_Document):
    """Wallet → collective, signed by the fresh subscription key."""

    collective_id: str
    terms_hash: str
    requirement_hash: str
    subscription_key: str
    agreement: Mapping[str, Any]
    agreement_signer: str
    agreement_signature: str
    cross_signature: str
    presence: Mapping[str, Any]
    created: int
    sandbox: str = ""

    OPTIONAL = {"sandbox": lambda m, n: f.one_of(m, n, ("full", "reduced"))}
    READERS = {
        "collective_id": f.uuid,
        "terms_hash": _hash32,
        "requirement_hash": _hash32,
        "subscription_key": _hash32,
        "agreement": _mapping,
        "agreement_signer": _text,
        "agreement_signature": lambda m, n: f.hex_bytes(m, n, 65),
        "cross_signature": lambda m, n: f.hex_bytes(m, n, 65),
        "presence": _mapping,
        "created": f.integer,
    }

    def _check(self) -> None:
        agreements.check(self.agreement)
        check_presence(self.presence)
        if (
            self.agreement["termsHash"] != self.terms_hash
            or self.agreement["requirementHash"] != self.requirement_hash
        ):
            raise TermsError("malformed", "The agreement is about other terms than the subscription.")


@dataclass(frozen=True, kw_only=True)
class Permit(_Document):
    """Collective → wallet: the grant the wallet keeps and checks every task against. Deleting it ends access."""

    collective_id: str
    collective_key: str
    name: str
    terms_hash: str
    requirement_hash: str
    subscription_key: str
    agreement_hash: str
    manifests: tuple[str, ...]
    algorithm_class: Mapping[str, Any] | None
    notice_seconds: int
    silence: str
    rate: int
    bucket_min: int
    release_min: int
    issued: int
    expires: int

    MONEY = frozenset({"rate"})
    READERS = {
        "collective_id": f.uuid,
        "collective_key": _hash32,
        "name": _text,
        "terms_hash": _hash32,
        "requirement_hash": _hash32,
        "subscription_key": _hash32,
        "agreement_hash": _hash32,
        "manifests": f.hashes,
        "algorithm_class": lambda m, n: classes.parse(m[n]),
        "notice_seconds": f.integer,
        "silence": _silence,
        "rate": f.money,
        "bucket_min": f.integer,
        "release_min": f.integer,
        "issued": f.integer,
        "expires": f.integer,
    }


@dataclass(frozen=True, kw_only=True)
class Revocation(_Document):
    """Wallet → collective: the permit is deleted. Tidying only; access ended when it was deleted."""

    collective_id: str
    subscription_key: str
    agreement_hash: str
    created: int

    READERS = {
        "collective_id": f.uuid,
        "subscription_key": _hash32,
        "agreement_hash": _hash32,
        "created": f.integer,
    }


@dataclass(frozen=True, kw_only=True)
class Notice(_Document):
    """Collective → wallets: a new algorithm, from `effective` on."""

    collective_id: str
    notice_ref: str
    subject: str
    reason: str
    manifest: Mapping[str, Any]
    manifest_hash: str
    announced: int
    effective: int
    silence: str

    READERS = {
        "collective_id": f.uuid,
        "notice_ref": _text,
        "subject": _text,
        "reason": _text,
        "manifest": _mapping,
        "manifest_hash": _hash32,
        "announced": f.integer,
        "effective": f.integer,
        "silence": _silence,
    }

    def _check(self) -> None:
        if manifest_hash(self.manifest) != self.manifest_hash:
            raise TermsError("malformed", "manifest_hash is not the hash of the announced manifest.")


@dataclass(frozen=True, kw_only=True)
class NoticeAnswer(_Document):
    """Wallet → collective: one of three choices of equal weight."""

    collective_id: str
    notice_ref: str
    subscription_key: str
    choice: str
    created: int

    READERS = {
        "collective_id": f.uuid,
        "notice_ref": _text,
        "subscription_key": _hash32,
        "choice": _choice,
        "created": f.integer,
    }


@dataclass(frozen=True, kw_only=True)
class JobAnnouncement(_Document):
    """Collective → wallets: a job to enrol for."""

    collective_id: str
    job_id: str
    manifest: Mapping[str, Any]
    manifest_hash: str
    rate: int
    token: str
    max_rounds: int
    cohort: int
    bucket_min: int
    release_min: int
    cohort_commitment: str
    distributor_key: str
    aggregator_key: str
    enrol_until: int
    expires: int

    MONEY = frozenset({"rate"})
    READERS = {
        "collective_id": f.uuid,
        "job_id": f.uuid,
        "manifest": _mapping,
        "manifest_hash": _hash32,
        "rate": f.money,
        "token": _text,
        "max_rounds": f.integer,
        "cohort": f.integer,
        "bucket_min": f.integer,
        "release_min": f.integer,
        "cohort_commitment": _hash32,
        "distributor_key": _hash32,
        "aggregator_key": _hash32,
        "enrol_until": f.integer,
        "expires": f.integer,
    }

    def _check(self) -> None:
        if manifest_hash(self.manifest) != self.manifest_hash:
            raise TermsError("malformed", "manifest_hash is not the hash of the job's manifest.")


@dataclass(frozen=True, kw_only=True)
class Task:
    """Collective → all wallets of a round: one signed body, the same for everybody.

    `job`, `collective` 16 bytes; `manifest`, `requirement`, `checkpoint` 32 bytes; `header` the aggregation header's bytes;
    `rate` base units per visit; `expires` unix seconds.
    """

    collective: bytes
    job: bytes
    round: int
    header: bytes
    manifest: bytes
    requirement: bytes
    checkpoint: bytes
    rate: int
    expires: int

    def body(self) -> dict[str, Any]:
        return {
            "v": 1,
            "collective": self.collective,
            "job": self.job,
            "round": self.round,
            "header": self.header,
            "manifest": self.manifest,
            "requirement": self.requirement,
            "checkpoint": self.checkpoint,
            "rate": str(self.rate),
            "expires": self.expires,
        }

    def sign(self, private: Secret) -> tuple[bytes, bytes]:
        """(CBOR body, signature) as they travel."""
        return cbor.encode(self.body()), signing.sign(private, TASK_LABEL, self.body())

    @classmethod
    def verify(cls, body: bytes, signature: bytes, collective_key: bytes) -> Task:
        """Raises:
        TermsError: `malformed`.
        BadSignature, BadKey: the collective did not sign it.
        """
        task = cls.parse(body)
        signing.verify(collective_key, TASK_LABEL, task.body(), signature)
        return task

    @classmethod
    def parse(cls, body: bytes) -> Task:
        """Raises:
        TermsError: `malformed`.
        """
        try:
            value = cbor.decode(body)
        except WireError as error:
            raise TermsError("malformed", "The task is not in the form of a task.") from error
        names = (
            "collective",
            "job",
            "round",
            "header",
            "manifest",
            "requirement",
            "checkpoint",
            "rate",
            "expires",
        )
        m = f.exactly(value, ("v", *names), "A task")
        sizes = {"collective": 16, "job": 16, "manifest": 32, "requirement": 32, "checkpoint": 32}
        for name, size in sizes.items():
            if not isinstance(m[name], bytes) or len(m[name]) != size:
                raise TermsError("malformed", "%(name)s must be %(size)s bytes.", name=name, size=size)
        if m["v"] != 1 or not isinstance(m["header"], bytes):
            raise TermsError("malformed", "The task is not in the form of a task.")
        return cls(
            **{name: m[name] for name in (*sizes, "header")},
            round=f.integer(m, "round", 1),
            rate=f.money(m, "rate"),
            expires=f.integer(m, "expires"),
        )
