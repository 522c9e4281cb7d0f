"""An observer of the chain who wants to know who took part in one round, and what each way of paying tells it.

The worst case: one round over 1,000 wallets of a collective of 100,000. The observer reads every payment, knows the job's visits and rate
from the escrow, and remembers all earlier epochs. It names the 1,000 addresses it believes most; precision is the share that is right.
"""

from __future__ import annotations

import bisect
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aggregation.epochs import Address, Earned, JobTotal, Rules, Statement, close_epoch

UNIT = 10**15
RATES = [1 * UNIT, 2 * UNIT, 5 * UNIT, 10 * UNIT]
LOT = 50 * UNIT
WALLETS, COHORT = 100_000, 1_000
OBSERVED = 0
"""Number of the collective whose one round is looked for."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What happened in the epoch that is looked at, and what was paid before it."""

    members: frozenset[Address]
    statement: Statement
    before: Mapping[Address, int]


def address(collective: int, wallet: int) -> Address:
    """A payout address is fresh per subscription."""
    return hashlib.blake2b(f"{collective}:{wallet}".encode(), digest_size=20).digest()


def play(*, collectives: int, rounds_of_others: int, rules: Rules, seed: int) -> Scene:
    """Two epochs: in both the other collectives are busy; the observed one has its only round in the second.

    Half of the others' wallets were paid before, none of the observed collective's: the most a history can tell.
    """
    rng = random.Random(seed)
    book: dict[tuple[int, int], Address] = {}
    carried: dict[Address, int] = {}
    before: dict[Address, int] = {}
    met: set[Address] = set()
    members: frozenset[Address] = frozenset()
    for epoch in (1, 2):
        earned: list[Earned] = []
        for collective in range(collectives):
            visits: Counter[int] = Counter()
            rounds = (1 if epoch == 2 else 0) if collective == OBSERVED else rounds_of_others
            for _ in range(rounds):
                visits.update(rng.sample(range(WALLETS), COHORT))
            rate = 5 * UNIT if collective == OBSERVED else RATES[collective % len(RATES)]
            for wallet, count in visits.items():
                place = book.setdefault((collective, wallet), address(collective, wallet))
                if place not in met:
                    met.add(place)
                    # Everybody has a remainder from the months before, anywhere below a lot.
                    carried[place] = rng.randrange(LOT // rate) * rate
                    if collective != OBSERVED and rng.random() < 0.5:
                        before[place] = LOT * rng.randrange(1, 9)
                earned.append(
                    Earned(
                        address=place,
                        job_id=f"job {collective}",
                        collective_id=str(collective),
                        visits=count,
                        rate=rate,
                    )
                )
            if collective == OBSERVED and epoch == 2:
                members = frozenset(book[collective, wallet] for wallet in visits)
        statement = close_epoch(
            epoch=epoch, earned=earned, jobs=_totals(earned), carried=carried, rules=rules
        )
        if epoch == 1:
            carried = dict(statement.balances)
            before |= {a: before.get(a, 0) + amount for a, amount in statement.payouts}
    return Scene(members=members, statement=statement, before=before)


def _totals(earned: Sequence[Earned]) -> list[JobTotal]:
    visits: Counter[tuple[str, int]] = Counter()
    for each in earned:
        visits[each.job_id, each.rate] += each.visits
    return [
        JobTotal(job_id=job, sequence=1, visits=count, rate=rate, receipts_root=bytes(32))
        for (job, rate), count in visits.items()
    ]


Belief = Callable[[Address, int, Mapping[Address, int]], float]
"""How much an observer believes that an address with this amount was in the round, from what was paid before."""

STRATEGIES: dict[str, Belief] = {
    "anybody who is paid": lambda holder, amount, before: 0.0,
    "the smallest amounts": lambda holder, amount, before: -amount,
    "the largest amounts": lambda holder, amount, before: amount,
    "who was never paid before": lambda holder, amount, before: -before.get(holder, 0),
    "one lot and never paid before": lambda holder, amount, before: (
        float(amount == LOT) - float(holder in before)
    ),
}


def precision(scene: Scene, belief: Belief, seed: int) -> float:
    """Share of members among the (at most 1,000) addresses believed most; 0 when nobody was paid."""
    rng = random.Random(seed)
    ranked = sorted(scene.statement.payouts, key=lambda paid: (-belief(*paid, scene.before), rng.random()))
    named = [holder for holder, _ in ranked[:COHORT]]
    return sum(holder in scene.members for holder in named) / len(named) if named else 0.0


def separation(scene: Scene) -> float:
    """Chance that a member's amount is larger than a non-member's (ties count half): 0.5 says nothing."""
    mine = [amount for holder, amount in scene.statement.payouts if holder in scene.members]
    others = sorted(amount for holder, amount in scene.statement.payouts if holder not in scene.members)
    wins = sum(bisect.bisect_left(others, a) + bisect.bisect_right(others, a) for a in mine)
    return wins / (2 * len(mine) * len(others))


def naive(scene: Scene) -> Statement:
    """The same round paid by itself, at once and exactly: what a design without pool, lots and epochs would show."""
    earned = [
        Earned(address=member, job_id="job 0", collective_id="0", visits=1, rate=5 * UNIT)
        for member in sorted(scene.members)
    ]
    rules = Rules(lot=0, min_recipients=1, min_collectives=1)
    return close_epoch(epoch=1, earned=earned, jobs=_totals(earned), carried={}, rules=rules)
