"""All contracts at once against a plain model of what they promise.

Every rule says beforehand whether the chain must take the call and, if not, by which named error it must refuse. The invariants look at
the chain alone: paid ≤ pooled ≤ settled ≤ deposited, spent ≤ budget, nobody above what they earned, and balances that add up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_utils import keccak
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aggregation.epochs import claim_proof, owed_root
from tests.contracts.evm import Address, Reverted, who
from tests.contracts.world import DAY, PAYER, PUBLISHER, SETTLER, STRANGER, ZERO, World

CONSUMERS = [who(50 + n) for n in range(3)]
HOLDERS = [who(200 + n) for n in range(6)]
OWNER = who(70)
EVERYBODY = [*CONSUMERS, *HOLDERS, STRANGER, OWNER]
GRACE = 7 * DAY
COLLECTIVES = [bytes([n]) * 32 for n in (1, 2)]
AGREEMENTS = [bytes([n]) * 32 for n in (0x51, 0x52)]


@dataclass
class Job:
    consumer: Address
    rate: int
    budget: int
    expiry: int
    spent: int = 0
    sequence: int = 0
    closed: bool = False


class ContractsMachine(RuleBasedStateMachine):
    """Subclasses set `overrides` to put a faulty contract in."""

    overrides: Mapping[str, Path] = {}

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.overrides)
        self.jobs: dict[bytes, Job] = {}
        self.orders: set[bytes] = set()
        self.batches: set[bytes] = set()
        self.settled = self.pooled = self.minted = 0
        self.earned = dict.fromkeys(HOLDERS, 0)
        self.planned = dict.fromkeys(HOLDERS, 0)  # what pushes meant to pay, credits included
        self.credit = dict.fromkeys(HOLDERS, 0)
        self.wallets = dict.fromkeys(EVERYBODY, 0)
        self.owed: dict[Address, int] = {}  # what the root in force says
        self.stale: dict[Address, int] = {}  # what the one before said
        # What `tests.contracts.sale_model` adds; nothing is sold here.
        self.bought: set[tuple[bytes, Address]] = set()
        self.sold = self.sold_to_pool = 0
        self.registered: dict[tuple[bytes, int], bytes] = {}
        self.revoked: set[bytes] = set()

    def expect(self, refusal: str | None, call: Any, *arguments: Any) -> None:
        """The call succeeds, or is refused by exactly this error."""
        try:
            call(*arguments)
        except Reverted as error:
            assert error.name == refusal, f"expected {refusal or 'success'}, got {error}"
        else:
            assert refusal is None, f"expected {refusal}, but the chain took it"

    @initialize()
    def a_working_market(self) -> None:
        """Two jobs that people already earned from, so that short runs reach the pool."""
        for number, consumer in enumerate(CONSUMERS[:2]):
            job = bytes([number + 1]) * 32
            self.open(number, consumer, 3 + number, 203, number, 2, False)
            self.expect(None, self.world.escrow.settle, SETTLER, job, 1, 12, ZERO)
            self._earn(self.jobs[job], 12, number)
        self.fund(STRANGER)

    def _earn(self, job: Job, visits: int, holder: int) -> None:
        job.spent += visits * job.rate
        job.sequence += 1
        self.settled += visits * job.rate
        for step in range(visits):
            self.earned[HOLDERS[(holder + step) % len(HOLDERS)]] += job.rate

    # --- escrow -------------------------------------------------------------------------------------------------------------

    @rule(
        number=st.integers(0, 9),
        consumer=st.sampled_from(CONSUMERS),
        rate=st.integers(0, 9),
        budget=st.integers(0, 300),
        order=st.integers(0, 7),
        lasting=st.integers(0, 3),
        short=st.booleans(),
    )
    def open(
        self, number: int, consumer: Address, rate: int, budget: int, order: int, lasting: int, short: bool
    ) -> None:
        job, order_id = bytes([number + 1]) * 32, bytes([order]) * 32 if order else ZERO
        short = short and budget > 0 and lasting == 3
        self.world.give(consumer, budget)
        self.minted += budget
        self.wallets[consumer] += budget
        if short:
            self.world.token.approve(consumer, self.world.escrow.address, budget - 1)
        expiry = self.world.machine.now + lasting * DAY
        if job in self.jobs:
            refusal: str | None = "JobExists"
        elif rate == 0 or budget < rate:
            refusal = "BadAmounts"
        elif lasting == 0:
            refusal = "ExpiryInThePast"
        elif order_id in self.orders:
            refusal = "OrderConsumed"
        else:
            refusal = "ERC20InsufficientAllowance" if short else None
        self.expect(refusal, self.world.escrow.openJob, consumer, job, order_id, rate, budget, expiry)
        if refusal is None:
            self.jobs[job] = Job(consumer, rate, budget, expiry)
            self.orders |= {order_id} - {ZERO}
            self.wallets[consumer] -= budget

    @precondition(lambda self: self.jobs)
    @rule(
        data=st.data(),
        visits=st.one_of(st.integers(0, 20), st.sampled_from([-1, -2])),
        offset=st.sampled_from([0, 0, 0, 0, 1, -1]),
        sender=st.sampled_from([SETTLER] * 7 + [STRANGER]),
        holder=st.integers(0, len(HOLDERS) - 1),
        funded=st.booleans(),
    )
    def settle(self, data: Any, visits: int, offset: int, sender: Address, holder: int, funded: bool) -> None:
        """−1 visits stands for as many as the budget still pays, −2 for one more."""
        number, job = self._some_job(data)
        left = (job.budget - job.spent) // job.rate
        visits = visits if visits >= 0 else left - visits - 1
        sequence = job.sequence + 1 + offset
        if sender != SETTLER:
            refusal: str | None = "AccessControlUnauthorizedAccount"
        elif job.closed:
            refusal = "AlreadyClosed"
        elif offset:
            refusal = "WrongSequence"
        else:
            refusal = "OverBudget" if visits > left else None
        self.expect(refusal, self.world.escrow.settle, sender, number, sequence, visits, ZERO)
        if refusal is None:
            self._earn(job, visits, holder)
        if funded:
            self.fund(STRANGER)

    @rule(sender=st.sampled_from(EVERYBODY))
    def fund(self, sender: Address) -> None:
        self.expect(None, self.world.escrow.fundPool, sender)
        self.pooled = self.settled

    @precondition(lambda self: self.jobs)
    @rule(
        data=st.data(),
        who_closes=st.sampled_from(["settler", "consumer", "stranger", "stranger", "nobody's"]),
    )
    def close(self, data: Any, who_closes: str) -> None:
        number, job = self._some_job(data)
        sender = {"settler": SETTLER, "consumer": job.consumer}.get(who_closes, STRANGER)
        if who_closes == "nobody's":
            self.expect("NoSuchJob", self.world.escrow.close, SETTLER, b"\xfe" * 32)
            return
        late = self.world.machine.now >= job.expiry + GRACE
        if job.closed:
            refusal: str | None = "AlreadyClosed"
        else:
            allowed = who_closes == "settler" or (who_closes == "consumer" and late)
            refusal = None if allowed else "NotYet"
        self.expect(refusal, self.world.escrow.close, sender, number)
        if refusal is None:
            job.closed = True
            self.wallets[job.consumer] += job.budget - job.spent

    @rule(days=st.sampled_from([1, 8]))
    def wait(self, days: int) -> None:
        self.world.machine.at(self.world.machine.now + days * DAY)

    def _some_job(self, data: Any) -> tuple[bytes, Job]:
        number = data.draw(st.sampled_from(sorted(self.jobs, key=lambda n: self.jobs[n].closed)))
        return number, self.jobs[number]

    # --- pool ---------------------------------------------------------------------------------------------------------------

    def still_owed(self) -> dict[Address, int]:
        """Earned and in no push yet; what was claimed is in here, as the platform does not know of claims."""
        return {h: self.earned[h] - self.planned[h] for h in HOLDERS if self.earned[h] > self.planned[h]}

    @rule(
        repeated=st.sampled_from([False, False, False, True]),
        chosen=st.one_of(st.just(set(HOLDERS)), st.sets(st.sampled_from(HOLDERS), min_size=1)),
        lot=st.sampled_from([1, 5]),
        fault=st.sampled_from(["", "", "", "", "twice", "order", "uneven", "stranger"]),
    )
    def push(self, repeated: bool, chosen: set[Address], lot: int, fault: str) -> None:
        """An amount is what is owed in whole lots."""
        owed = self.still_owed()
        identity = bytes([max(1, len(self.batches) + 1 - repeated)]) * 32
        amounts = {h: owed[h] - owed[h] % lot for h in sorted(chosen & set(owed)) if owed[h] >= lot}
        recipients, values = list(amounts), list(amounts.values())
        if fault == "twice" and recipients:
            recipients, values = [*recipients, recipients[-1]], [*values, 1]
        elif fault == "order" and len(recipients) > 1:
            recipients.reverse()
            values.reverse()
        elif fault == "uneven":
            values = values[:-1] if values else [1]
        uses = {h: min(self.credit[h], amounts[h]) for h in amounts}
        total = sum(amounts.values()) - sum(uses.values())
        in_pool = self._in_pool()
        if fault == "stranger":
            refusal: str | None = "AccessControlUnauthorizedAccount"
        elif identity in self.batches:
            refusal = "BatchRepeated"
        elif not recipients or len(recipients) != len(values):
            refusal = "BadBatch"
        elif recipients != sorted(set(recipients)):
            # The pool may run dry before the one that is out of place is reached.
            refusal = "NotAscending" if total + 1 <= in_pool else "any"
        else:
            refusal = "ERC20InsufficientBalance" if total > in_pool else None
        sender = STRANGER if fault == "stranger" else PAYER
        call = self.world.pool.push
        if refusal == "any":
            try:
                call(sender, identity, recipients, values)
            except Reverted:
                return
            raise AssertionError("a batch out of order was paid")
        self.expect(refusal, call, sender, identity, recipients, values)
        if refusal is None:
            self.batches.add(identity)
            self.stale, self.owed = self.owed or self.stale, {}
            for h, value in amounts.items():
                self.planned[h] += value
                self.credit[h] -= uses[h]
                self.wallets[h] += value - uses[h]

    @precondition(lambda self: self.still_owed())
    @rule(sender=st.sampled_from([PUBLISHER] * 5 + [STRANGER]))
    def publish(self, sender: Address) -> None:
        self._publish(sender)

    def _publish(self, sender: Address) -> None:
        owed = self.still_owed()
        refusal = None if sender == PUBLISHER else "AccessControlUnauthorizedAccount"
        self.expect(refusal, self.world.pool.publish, sender, owed_root(owed))
        if refusal is None:
            self.stale, self.owed = self.owed or self.stale, owed

    @precondition(lambda self: self.owed or self.stale or self.still_owed())
    @rule(
        data=st.data(),
        more=st.sampled_from([0, 0, 0, 0, 1]),
        old=st.booleans(),
        sender=st.sampled_from(EVERYBODY),
    )
    def claim(self, data: Any, more: int, old: bool, sender: Address) -> None:
        if not self.owed and self.still_owed() and not (old and self.stale):
            self._publish(PUBLISHER)
        book = (self.stale if old else self.owed) or self.owed or self.stale
        holder = data.draw(st.sampled_from(sorted(book)))
        owed, proof = book[holder] + more, claim_proof(book, holder)
        in_pool = self._in_pool()
        if more or owed_root(book) != owed_root(self.owed):
            refusal: str | None = "NotInRoot"
        elif owed <= self.credit[holder]:
            refusal = "NothingDue"
        else:
            refusal = "ERC20InsufficientBalance" if owed - self.credit[holder] > in_pool else None
        self.expect(refusal, self.world.pool.claim, sender, holder, owed, proof)
        if refusal is None:
            self.wallets[holder] += owed - self.credit[holder]
            self.credit[holder] = owed

    def _in_pool(self) -> int:
        return self.pooled + self.sold_to_pool - sum(self._paid(h) for h in HOLDERS)

    def _paid(self, holder: Address) -> int:
        return self.planned[holder] + self.credit[holder]

    # --- registry -----------------------------------------------------------------------------------------------------------

    @rule(
        verb=st.sampled_from(["register", "register", "revoke"]),
        collective=st.sampled_from(COLLECTIVES),
        epoch=st.integers(1, 2),
        agreement=st.sampled_from(AGREEMENTS),
    )
    def registry(self, verb: str, collective: bytes, epoch: int, agreement: bytes) -> None:
        """A tree of one agreement: its root is the leaf."""
        if verb == "register":
            refusal = "EpochRegistered" if (collective, epoch) in self.registered else None
            call = self.world.registry.register
            self.expect(refusal, call, PUBLISHER, collective, epoch, keccak(agreement))
            self.registered.setdefault((collective, epoch), agreement)
        else:
            self.expect(None, self.world.registry.revoke, PUBLISHER, collective, agreement)
            self.revoked.add(agreement)
        known = self.registered.get((collective, epoch))
        for each in AGREEMENTS:
            expected = known == each and each not in self.revoked
            assert self.world.registry.ask("isInForce", collective, epoch, each, []) is expected

    # --- what holds whatever happened ---------------------------------------------------------------------------------------

    @invariant()
    def figures_are_ordered_and_add_up(self) -> None:
        world = self.world
        settled, pooled, paid = world.totals()
        deposited = sum(job.budget for job in self.jobs.values())
        assert paid <= pooled + world.sold()[1]
        assert pooled <= settled <= deposited
        sold, sold_to_pool = world.sold()
        assert (sold, sold_to_pool) == (self.sold, self.sold_to_pool)
        assert world.balance(world.pool.address) == pooled + sold_to_pool - paid
        assert world.balance(world.sale.address) == 0
        for buyer in CONSUMERS:
            assert world.downloads(buyer) == 10**18 * sum(who == buyer for _, who in self.bought)
        standing = sum(j.budget - j.spent for j in self.jobs.values() if not j.closed)
        assert world.balance(world.escrow.address) == standing + settled - pooled
        assert (settled, pooled) == (self.settled, self.pooled)
        assert paid == sum(self._paid(h) for h in HOLDERS)

    @invariant()
    def no_job_spends_above_its_budget(self) -> None:
        for number, job in self.jobs.items():
            rate, budget, spent, following, closed = self.world.job(number)
            assert spent <= budget
            assert (rate, spent, following, closed) == (job.rate, job.spent, job.sequence + 1, job.closed)

    @invariant()
    def nobody_has_more_than_they_earned(self) -> None:
        for holder in HOLDERS:
            assert self._paid(holder) <= self.earned[holder]
        wallets = {person: self.world.balance(person) for person in self.wallets}
        assert wallets == self.wallets
        held = [self.world.balance(c.address) for c in (self.world.escrow, self.world.pool)]
        assert sum(wallets.values()) + sum(held) == self.minted
