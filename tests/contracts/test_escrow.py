"""CollectiveEscrow: every function, every revert, every event."""

from __future__ import annotations

import pytest

from tests.contracts.evm import NOW, Reverted, who
from tests.contracts.world import ADMIN, DAY, PAYER, SETTLER, STRANGER, ZERO, World, key_of, permit

JOB, CONSUMER = b"\x01" * 32, who(50)
RATE, BUDGET = 5, 1_003
GRACE = 7 * DAY


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def opened(world: World) -> World:
    world.open(JOB, CONSUMER, RATE, BUDGET)
    return world


def refusal(call: object, *arguments: object) -> tuple[str, tuple[object, ...]]:
    with pytest.raises(Reverted) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.name, caught.value.arguments


def test_opening_moves_the_budget_and_says_so(world: World) -> None:
    world.give(CONSUMER, BUDGET)

    done = world.escrow.openJob(CONSUMER, JOB, ZERO, RATE, BUDGET, NOW + DAY)

    (event,) = [e for e in done.events if e.name == "JobOpened"]
    assert event.values == {
        "jobId": JOB,
        "consumer": "0x" + CONSUMER.hex(),
        "orderId": ZERO,
        "rate": RATE,
        "budget": BUDGET,
        "expiry": NOW + DAY,
    }
    assert (world.balance(CONSUMER), world.balance(world.escrow.address)) == (0, BUDGET)
    assert world.escrow.ask("jobs", JOB) == ("0x" + CONSUMER.hex(), NOW + DAY, RATE, BUDGET, 0, 1, False)


@pytest.mark.parametrize(
    ("rate", "budget", "expiry", "reason"),
    [
        (0, 10, NOW + 1, ("BadAmounts", (0, 10))),
        (11, 10, NOW + 1, ("BadAmounts", (11, 10))),
        (5, 10, NOW, ("ExpiryInThePast", (NOW,))),
        (5, 10, NOW - 1, ("ExpiryInThePast", (NOW - 1,))),
    ],
)
def test_a_job_that_cannot_work_is_not_opened(
    world: World, rate: int, budget: int, expiry: int, reason: tuple[str, tuple[int, ...]]
) -> None:
    world.give(CONSUMER, 10)

    assert refusal(world.escrow.openJob, CONSUMER, JOB, ZERO, rate, budget, expiry) == reason
    assert world.balance(CONSUMER) == 10


def test_one_unit_short_of_funds_or_allowance_moves_nothing(world: World) -> None:
    world.give(CONSUMER, BUDGET - 1)
    name, arguments = refusal(world.escrow.openJob, CONSUMER, JOB, ZERO, RATE, BUDGET, NOW + DAY)
    assert (name, arguments[1:]) == ("ERC20InsufficientAllowance", (BUDGET - 1, BUDGET))

    world.token.approve(CONSUMER, world.escrow.address, BUDGET)
    name, arguments = refusal(world.escrow.openJob, CONSUMER, JOB, ZERO, RATE, BUDGET, NOW + DAY)
    assert (name, arguments[1:]) == ("ERC20InsufficientBalance", (BUDGET - 1, BUDGET))
    assert world.balance(CONSUMER) == BUDGET - 1
    assert world.escrow.ask("jobs", JOB)[2] == 0


def test_a_job_is_opened_once(opened: World) -> None:
    opened.give(CONSUMER, BUDGET)

    assert refusal(opened.escrow.openJob, CONSUMER, JOB, ZERO, RATE, BUDGET, NOW + DAY) == (
        "JobExists",
        (JOB,),
    )
    opened.escrow.close(SETTLER, JOB)
    assert refusal(opened.escrow.openJob, CONSUMER, JOB, ZERO, RATE, BUDGET, NOW + DAY)[0] == "JobExists"


def test_an_order_opens_one_job(world: World) -> None:
    order = b"\x07" * 32
    world.open(JOB, CONSUMER, RATE, BUDGET, order=order)
    world.give(CONSUMER, BUDGET)

    assert world.escrow.ask("consumed", order) is True
    assert refusal(world.escrow.openJob, CONSUMER, b"\x02" * 32, order, RATE, BUDGET, NOW + DAY) == (
        "OrderConsumed",
        (order,),
    )


def test_outside_development_a_job_needs_an_order() -> None:
    world = World(development=False)
    world.give(CONSUMER, BUDGET)

    assert refusal(world.escrow.openJob, CONSUMER, JOB, ZERO, RATE, BUDGET, NOW + DAY) == ("OrderNeeded", ())
    world.escrow.openJob(CONSUMER, JOB, b"\x09" * 32, RATE, BUDGET, NOW + DAY)
    assert world.balance(world.escrow.address) == BUDGET


def test_a_permit_spares_the_approval(world: World) -> None:
    private, owner = key_of(1)
    world.token.mint(who(5), owner, BUDGET)
    v, r, s = permit(world, private, world.escrow.address, BUDGET, deadline=NOW + 60)

    world.escrow.openJobWithPermit(owner, JOB, ZERO, RATE, BUDGET, NOW + DAY, NOW + 60, v, r, s)

    assert (world.balance(owner), world.token.ask("nonces", owner)) == (0, 1)


def test_a_permit_that_somebody_submitted_first_stops_nobody(world: World) -> None:
    private, owner = key_of(1)
    world.token.mint(who(5), owner, BUDGET)
    v, r, s = permit(world, private, world.escrow.address, BUDGET, deadline=NOW + 60)
    world.token.permit(STRANGER, owner, world.escrow.address, BUDGET, NOW + 60, v, r, s)

    world.escrow.openJobWithPermit(owner, JOB, ZERO, RATE, BUDGET, NOW + DAY, NOW + 60, v, r, s)

    assert world.balance(world.escrow.address) == BUDGET


def test_an_expired_permit_moves_nothing(world: World) -> None:
    private, owner = key_of(1)
    world.token.mint(who(5), owner, BUDGET)
    v, r, s = permit(world, private, world.escrow.address, BUDGET, deadline=NOW - 1)

    reason = refusal(
        world.escrow.openJobWithPermit, owner, JOB, ZERO, RATE, BUDGET, NOW + DAY, NOW - 1, v, r, s
    )

    assert (reason[0], reason[1][1:]) == ("ERC20InsufficientAllowance", (0, BUDGET))
    assert world.balance(owner) == BUDGET
    assert refusal(world.token.permit, owner, owner, world.escrow.address, BUDGET, NOW - 1, v, r, s) == (
        "ERC2612ExpiredSignature",
        (NOW - 1,),
    )


def test_settling_counts_and_funding_moves(opened: World) -> None:
    root = b"\x33" * 32
    done = opened.escrow.settle(SETTLER, JOB, 1, 7, root)

    (event,) = done.events
    assert (event.name, event.values) == (
        "Settled",
        {"jobId": JOB, "sequence": 1, "visits": 7, "amount": 35, "receiptsRoot": root},
    )
    assert (opened.escrow.ask("settledTotal"), opened.escrow.ask("pooledTotal")) == (35, 0)
    assert opened.balance(opened.pool.address) == 0

    funded = opened.escrow.fundPool(STRANGER)

    assert [e.values for e in funded.events if e.name == "PoolFunded"] == [{"amount": 35}]
    assert (opened.balance(opened.pool.address), opened.balance(opened.escrow.address)) == (35, BUDGET - 35)
    assert opened.escrow.ask("pooledTotal") == 35


def test_funding_twice_moves_once(opened: World) -> None:
    opened.escrow.settle(SETTLER, JOB, 1, 7, ZERO)
    opened.escrow.fundPool(SETTLER)

    assert opened.escrow.fundPool(SETTLER).events == ()
    assert opened.balance(opened.pool.address) == 35


@pytest.mark.parametrize("sequence", [0, 2, 2**64 - 1])
def test_a_wrong_sequence_settles_nothing(opened: World, sequence: int) -> None:
    assert refusal(opened.escrow.settle, SETTLER, JOB, sequence, 1, ZERO) == ("WrongSequence", (1, sequence))


def test_a_repeated_settlement_reverts(opened: World) -> None:
    opened.escrow.settle(SETTLER, JOB, 1, 1, ZERO)

    assert refusal(opened.escrow.settle, SETTLER, JOB, 1, 1, ZERO) == ("WrongSequence", (2, 1))
    assert opened.escrow.ask("jobs", JOB)[4:6] == (RATE, 2)


def test_the_last_visit_of_a_budget_is_paid_and_one_more_is_not(opened: World) -> None:
    assert refusal(opened.escrow.settle, SETTLER, JOB, 1, 201, ZERO) == ("OverBudget", (1_003, 1_005))
    opened.escrow.settle(SETTLER, JOB, 1, 200, ZERO)
    assert refusal(opened.escrow.settle, SETTLER, JOB, 2, 1, ZERO) == ("OverBudget", (3, 5))
    assert opened.escrow.ask("jobs", JOB)[4] == 1_000


def test_visits_that_overflow_settle_nothing(opened: World) -> None:
    assert refusal(opened.escrow.settle, SETTLER, JOB, 1, 2**255, ZERO) == ("Panic", (0x11,))
    assert opened.escrow.ask("settledTotal") == 0


def test_a_budget_of_10000_at_0_005_pays_exactly_2_million_visits(world: World) -> None:
    token = 10**18
    world.open(JOB, CONSUMER, 5 * 10**15, 10_000 * token)

    assert refusal(world.escrow.settle, SETTLER, JOB, 1, 2_000_001, ZERO)[0] == "OverBudget"
    world.escrow.settle(SETTLER, JOB, 1, 2_000_000, ZERO)
    done = world.escrow.close(SETTLER, JOB)

    assert [e.values for e in done.events] == [{"jobId": JOB, "spent": 10_000 * token, "refunded": 0}]


def test_closing_refunds_to_the_last_unit(opened: World) -> None:
    opened.escrow.settle(SETTLER, JOB, 1, 200, ZERO)

    done = opened.escrow.close(SETTLER, JOB)

    assert [e.values for e in done.events if e.name == "JobClosed"] == [
        {"jobId": JOB, "spent": 1_000, "refunded": 3}
    ]
    assert opened.balance(CONSUMER) == 3
    opened.escrow.fundPool(STRANGER)
    assert (opened.balance(opened.escrow.address), opened.balance(opened.pool.address)) == (0, 1_000)


def test_nothing_moves_after_the_close(opened: World) -> None:
    opened.escrow.close(SETTLER, JOB)

    assert refusal(opened.escrow.settle, SETTLER, JOB, 1, 1, ZERO) == ("AlreadyClosed", (JOB,))
    assert refusal(opened.escrow.close, SETTLER, JOB) == ("AlreadyClosed", (JOB,))
    assert opened.balance(CONSUMER) == BUDGET


def test_an_unknown_job_neither_settles_nor_closes(opened: World) -> None:
    other = b"\x02" * 32
    assert refusal(opened.escrow.settle, SETTLER, other, 1, 1, ZERO) == ("NoSuchJob", (other,))
    assert refusal(opened.escrow.close, SETTLER, other) == ("NoSuchJob", (other,))


@pytest.mark.parametrize("sender", [ADMIN, PAYER, CONSUMER, STRANGER])
def test_only_a_settler_settles(opened: World, sender: bytes) -> None:
    assert refusal(opened.escrow.settle, sender, JOB, 1, 1, ZERO)[0] == "AccessControlUnauthorizedAccount"


def test_a_consumer_closes_alone_after_expiry_and_grace(opened: World) -> None:
    since = NOW + DAY + GRACE
    opened.machine.at(since - 1)
    assert refusal(opened.escrow.close, CONSUMER, JOB) == ("NotYet", (since,))
    opened.machine.at(since)
    assert refusal(opened.escrow.close, STRANGER, JOB) == ("NotYet", (since,))

    opened.escrow.close(CONSUMER, JOB)

    assert opened.balance(CONSUMER) == BUDGET


def test_settling_is_possible_until_somebody_closes(opened: World) -> None:
    opened.machine.at(NOW + DAY + GRACE + 1)
    opened.escrow.settle(SETTLER, JOB, 1, 1, ZERO)

    opened.escrow.close(CONSUMER, JOB)

    assert opened.balance(CONSUMER) == BUDGET - RATE


def test_an_admin_replaces_a_settler(opened: World) -> None:
    role = opened.escrow.ask("SETTLER_ROLE")
    assert refusal(opened.escrow.grantRole, STRANGER, role, STRANGER)[0] == "AccessControlUnauthorizedAccount"
    opened.escrow.grantRole(ADMIN, role, STRANGER)
    opened.escrow.revokeRole(ADMIN, role, SETTLER)

    opened.escrow.settle(STRANGER, JOB, 1, 1, ZERO)

    assert refusal(opened.escrow.settle, SETTLER, JOB, 2, 1, ZERO)[0] == "AccessControlUnauthorizedAccount"


def test_what_the_tests_read_from_storage_is_what_the_contracts_say(opened: World) -> None:
    opened.escrow.settle(SETTLER, JOB, 1, 7, ZERO)
    opened.escrow.fundPool(STRANGER)
    opened.escrow.settle(SETTLER, JOB, 2, 1, ZERO)
    opened.pool.push(PAYER, b"\x01" * 32, [who(101)], [3])
    opened.escrow.close(SETTLER, JOB)

    said = opened.escrow.ask("jobs", JOB)
    assert opened.job(JOB) == said[2:]
    assert opened.totals() == (
        opened.escrow.ask("settledTotal"),
        opened.escrow.ask("pooledTotal"),
        opened.pool.ask("totalPaid"),
    )
    assert opened.totals() == (40, 35, 3)
    assert opened.balance(who(101)) == opened.token.ask("balanceOf", who(101)) == 3
