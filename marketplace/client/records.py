"""What the API answers, as frozen records. Amounts are integers of base units, times are aware datetimes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Announced:
    """An algorithm of a collective; it runs from `effective` on."""

    manifest_hash: str
    name: str
    status: str
    effective: datetime

    @classmethod
    def of(cls, m: dict[str, Any]) -> Announced:
        return cls(
            manifest_hash=m["manifest_hash"],
            name=m["name"],
            status=m["status"],
            effective=datetime.fromisoformat(m["effective"]),
        )


@dataclass(frozen=True, kw_only=True)
class Collective:
    """`subscribers` comes in steps ("300+"). `algorithms` is empty in lists; `Market.collective` fills it."""

    id: str
    name: str
    purpose: str
    rate: int
    token: str
    subscribers: str
    fields: tuple[str, ...]
    bucket_min: int
    release_min: int
    notice_seconds: int
    terms_hash: str
    algorithms: tuple[Announced, ...] = ()

    @classmethod
    def of(cls, m: dict[str, Any]) -> Collective:
        return cls(
            id=m["id"],
            name=m["name"],
            purpose=m["purpose"],
            rate=int(m["rate"]),
            token=m["token"],
            subscribers=m["subscribers"],
            fields=tuple(m["fields"]),
            bucket_min=m["bucket_min"],
            release_min=m["release_min"],
            notice_seconds=m["notice_seconds"],
            terms_hash=m["terms_hash"],
            algorithms=tuple(Announced.of(a) for a in m.get("algorithms", ())),
        )


@dataclass(frozen=True, kw_only=True)
class Algorithm:
    manifest_hash: str
    name: str
    parameters: int
    status: str
    reason: str
    manifest: dict[str, Any]

    @classmethod
    def of(cls, m: dict[str, Any]) -> Algorithm:
        return cls(**{name: m[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True)
class JobState:
    """How a job stood when it was asked for; `sentence` says it in words."""

    job_id: str
    collective_id: str
    status: str
    sentence: str
    budget: int
    spent: int
    rest: int
    visits_earned: int
    visits_total: int
    rounds_done: int
    max_rounds: int
    plan: dict[str, Any]

    @classmethod
    def of(cls, m: dict[str, Any]) -> JobState:
        return cls(
            job_id=m["job_id"],
            collective_id=m["collective_id"],
            status=m["status"],
            sentence=m["sentence"],
            budget=int(m["budget"]),
            spent=int(m["spent"]),
            rest=int(m["rest"]),
            visits_earned=m["visits"]["earned"],
            visits_total=m["visits"]["total"],
            rounds_done=m["rounds_done"],
            max_rounds=m["max_rounds"],
            plan=m["plan"],
        )


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The model after a round; number 0 is the model it began with."""

    number: int
    hash: str
    wallets: int
    created: datetime

    @classmethod
    def of(cls, m: dict[str, Any]) -> Checkpoint:
        created = datetime.fromisoformat(m["created"])
        return cls(number=m["number"], hash=m["hash"], wallets=m["wallets"], created=created)


@dataclass(frozen=True, kw_only=True)
class Round:
    """A closed round in exact numbers, never who."""

    job_id: str
    number: int
    status: str
    reason: str
    visits: int
    in_the_sum: int
    dropped_out: int
    ended: datetime

    @classmethod
    def of(cls, m: dict[str, Any]) -> Round:
        values = {name: m[name] for name in cls.__dataclass_fields__}
        return cls(**values | {"ended": datetime.fromisoformat(m["ended"])})
