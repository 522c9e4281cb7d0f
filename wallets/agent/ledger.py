"""The holder's own account of privacy: what every accepted visit cost, per job, per collective and for the person. Sans-IO.

A server's account of a person ends where the server does; only the wallet sees all collectives. So the wallet keeps the ledger,
refuses the visit that would exceed a budget, and keeps what was spent when a permit is deleted: leaving and coming back does
not make anything unsaid.

Costs are ρ in millionths (`aggregation.privacy.budget`) and add up. Two readers, two costs: the operator of the aggregator sees
the sum of a bucket and knows who was in it; the consumer, and whoever reads the chain, sees a released sum of more wallets. Budgets
hold for the operator's, the larger one. No amplification is counted on: whoever invited a wallet knows that it was invited.

A visit is charged when it is accepted, not when it succeeds, like the round number it uses up. A year is any 365 days, counted in
whole days of UTC.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from aggregation.privacy import budget
from aggregation.privacy.mechanism import Mechanism
from aggregation.secagg.messages import Header
from wallets.agent.refusals import Refusal

RECORD = ("ledger", "person")
"""Where the encrypted store keeps it."""
YEAR_DAYS, DAY_SECONDS = 365, 86_400
UNBOUNDED = 2**62
FORMAL_COLLECTIVE_EPSILON, FORMAL_PERSON_EPSILON = 3.0, 8.0
"""What formal collectives may spend of a person in a year when the holder says nothing: each, and all together."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """ρ in millionths towards the operator of the aggregator and towards the consumer."""

    operator_micro: int
    consumer_micro: int


@dataclass(frozen=True, kw_only=True)
class Charge:
    """The visits of one day to one job. `day`: days since 1970 in UTC. `formal`: the terms promise a formal budget."""

    day: int
    collective_id: str
    job_id: str
    formal: bool
    visits: int
    operator_micro: int
    consumer_micro: int


@dataclass(frozen=True, kw_only=True)
class Spent:
    """A sum of charges; ε at δ = 10⁻⁶."""

    visits: int = 0
    operator_micro: int = 0
    consumer_micro: int = 0

    @property
    def operator_epsilon(self) -> float:
        return budget.epsilon(self.operator_micro)

    @property
    def consumer_epsilon(self) -> float:
        return budget.epsilon(self.consumer_micro)

    def words(self) -> str:
        """For the holder: both numbers, always."""
        return (
            f"{self.visits} visits, ε ≤ {self.consumer_epsilon:.2f} towards consumers and the chain, "
            f"ε ≤ {self.operator_epsilon:.2f} towards the operator of the aggregator (δ = 10⁻⁶)"
        )


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """The most that may be spent towards the operator in a year, ρ in millionths; 0 is no budget.

    `job_micro`, `person_micro`: the holder's own, over every visit. `formal_collective_micro`, `formal_person_micro`: over visits
    to collectives whose terms promise a formal budget; the others promise none, and their noise floor would exceed any.
    """

    job_micro: int = 0
    person_micro: int = 0
    formal_collective_micro: int = budget.rho_micro(FORMAL_COLLECTIVE_EPSILON)
    formal_person_micro: int = budget.rho_micro(FORMAL_PERSON_EPSILON)


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Everything charged in the last year, one line per day and job."""

    charges: tuple[Charge, ...] = ()

    def spent(self, *, now: int, **which: str | bool) -> Spent:
        """The sum of the last 365 days' charges, of those whose fields are as in `which`."""
        since = now // DAY_SECONDS - YEAR_DAYS
        return _sum(
            charge
            for charge in self.charges
            if charge.day > since and all(getattr(charge, name) == value for name, value in which.items())
        )

    def charged(self, new: Charge) -> Ledger:
        """With one more charge; what is older than a year is forgotten."""
        kept = [charge for charge in self.charges if charge.day > new.day - YEAR_DAYS]
        for place, old in enumerate(kept):
            same = (old.day, old.collective_id, old.job_id, old.formal)
            if same == (new.day, new.collective_id, new.job_id, new.formal):
                kept[place] = replace(
                    old,
                    visits=old.visits + new.visits,
                    operator_micro=old.operator_micro + new.operator_micro,
                    consumer_micro=old.consumer_micro + new.consumer_micro,
                )
                return Ledger(charges=tuple(kept))
        return Ledger(charges=(*kept, new))

    def to_record(self) -> dict[str, Any]:
        """For the encrypted store."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any] | None) -> Ledger:
        """From the encrypted store; an absent record is an empty ledger."""
        return cls(charges=tuple(Charge(**item) for item in record["charges"])) if record else cls()


def cost_of(header: Header) -> Cost:
    """What one visit under a header costs at most: the smallest sum each reader may get.

    A header whose numbers could clamp a noised value promises nothing: a clamped value has lost part of its noise.
    """
    mechanism = Mechanism(
        clip_micro=header.clip_micro,
        share_micro=header.noise_micro,
        coordinates=header.padded_d,
        fraction_bits=header.f,
    )
    if not mechanism.never_clamped(header.q):
        return Cost(operator_micro=UNBOUNDED, consumer_micro=UNBOUNDED)

    def rho(wallets: int) -> int:
        found = budget.cost_micro(
            header.clip_micro,
            header.noise_micro,
            wallets=wallets,
            coordinates=header.padded_d,
            fraction_bits=header.f,
        )
        return UNBOUNDED if found is None else found

    return Cost(operator_micro=rho(header.bucket_min), consumer_micro=rho(header.release_min))


def charge(
    ledger: Ledger,
    budgets: Budgets,
    *,
    header: Header,
    collective_id: str,
    job_id: str,
    formal: bool,
    now: int,
) -> Ledger | Refusal:
    """The ledger with one more visit, or the first budget that the visit would exceed.

    Without formal terms a consumer may get sums made by a robust rule, which are as private as one bucket (docs/tampering.md): then
    the visit costs the same towards both.
    """
    cost = cost_of(header)
    consumer = cost.consumer_micro if formal else cost.operator_micro
    limits: list[tuple[int, Refusal, dict[str, str | bool]]] = [
        (budgets.job_micro, Refusal.JOB_PRIVACY_BUDGET, {"job_id": job_id}),
        (budgets.person_micro, Refusal.PERSON_PRIVACY_BUDGET, {}),
    ]
    if formal:
        limits += [
            (
                budgets.formal_collective_micro,
                Refusal.PRIVACY_BUDGET,
                {"collective_id": collective_id, "formal": True},
            ),
            (budgets.formal_person_micro, Refusal.PERSON_PRIVACY_BUDGET, {"formal": True}),
        ]
    for most, refusal, which in limits:
        if most and ledger.spent(now=now, **which).operator_micro + cost.operator_micro > most:
            return refusal
    return ledger.charged(
        Charge(
            day=now // DAY_SECONDS,
            collective_id=collective_id,
            job_id=job_id,
            formal=formal,
            visits=1,
            operator_micro=cost.operator_micro,
            consumer_micro=consumer,
        )
    )


def _sum(charges: Iterable[Charge]) -> Spent:
    visits = operator = consumer = 0
    for one in charges:
        visits, operator, consumer = (
            visits + one.visits,
            operator + one.operator_micro,
            consumer + one.consumer_micro,
        )
    return Spent(visits=visits, operator_micro=operator, consumer_micro=consumer)
