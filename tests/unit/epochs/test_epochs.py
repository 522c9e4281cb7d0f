"""Epoch arithmetic: nothing appears, nothing vanishes."""

from __future__ import annotations

from typing import Any

import pytest
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from aggregation.epochs import (
    Credit,
    Earned,
    JobTotal,
    Rules,
    claim_leaf,
    claim_proof,
    close_epoch,
    owed_root,
    receipts_root,
    receipts_root_of_sorted,
    split,
)


def epoch(
    visits: list[tuple[int, int]],
    *,
    lot: int = 0,
    carried: dict[bytes, int] | None = None,
    number: int = 1,
    least: int = 1,
    **more: Any,
) -> Any:
    """An epoch of (address number, visits) at rate 5 in one job."""
    earned = [
        Earned(address=bytes([a]) * 20, job_id="j", collective_id="c", visits=n, rate=5) for a, n in visits
    ]
    total = sum(n for _, n in visits)
    jobs = (
        [JobTotal(job_id="j", sequence=number, visits=total, rate=5, receipts_root=bytes(32))]
        if total
        else []
    )
    rules = Rules(lot=lot, min_recipients=least, min_collectives=1)
    return close_epoch(epoch=number, earned=earned, jobs=jobs, carried=carried or {}, rules=rules, **more)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 6, 7, 8, 11, 64, 100])
def test_a_root_of_receipts_read_one_by_one_is_that_of_the_levels(count: int) -> None:
    receipts = [bytes(keccak(number.to_bytes(4, "big"))) for number in range(count)]
    level = sorted(receipts)
    while len(level) > 1:
        pairs = [sorted(level[i : i + 2]) for i in range(0, len(level), 2)]
        level = [bytes(keccak(b"".join(pair))) if len(pair) == 2 else pair[0] for pair in pairs]
    expected = level[0] if level else bytes(32)
    assert receipts_root(receipts) == expected
    assert receipts_root_of_sorted(iter(sorted(receipts))) == expected


visits = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 50)), max_size=40)


@given(st.lists(visits, max_size=5), st.integers(0, 60), st.integers(1, 10))
def test_earned_is_paid_carried_or_held_over_in_every_epoch_and_in_total(
    epochs: list[Any], lot: int, least: int
) -> None:
    carried: dict[bytes, int] = {}
    earned = paid = 0
    for number, found in enumerate(epochs, start=1):
        before = sum(carried.values())
        made = epoch(found, lot=lot, carried=carried, number=number, least=least)
        assert made.earned + before == made.paid + made.carried + made.held_over
        assert all(lot == 0 or amount % lot == 0 for _, amount in made.payouts)
        carried = dict(made.balances)
        earned, paid = earned + made.earned, paid + made.paid
    assert earned == paid + sum(carried.values())


def test_too_few_recipients_hold_everything_over_to_the_next_epoch() -> None:
    first = epoch([(1, 2), (2, 2)], least=3)
    assert (first.paid, first.held_over) == (0, 20)

    second = epoch([(3, 1)], least=3, carried=dict(first.balances), number=2)

    assert second.paid == 25


def test_a_leaver_gets_the_remainder() -> None:
    made = epoch([(1, 3), (2, 3)], lot=10, leaving=frozenset({bytes([1]) * 20}))

    assert dict(made.payouts) == {bytes([1]) * 20: 15, bytes([2]) * 20: 10}


def test_totals_that_disagree_are_refused() -> None:
    with pytest.raises(ValueError, match="not what the jobs owe"):
        close_epoch(
            epoch=1,
            earned=[],
            jobs=[JobTotal(job_id="j", sequence=1, visits=1, rate=5, receipts_root=bytes(32))],
            carried={},
            rules=Rules(lot=0, min_recipients=1, min_collectives=1),
        )


def test_the_document_tells_no_pseudonym_and_carries_money_as_text() -> None:
    document = epoch([(1, 2)]).to_document()

    assert set(document) == {
        "epoch",
        "jobs",
        "payouts",
        "earned",
        "paid",
        "carried",
        "held_over",
        "owed_root",
        "sales",
        "sold",
    }
    assert document["payouts"] == [["0x" + "01" * 20, "10"]]


@given(st.dictionaries(st.binary(min_size=20, max_size=20), st.integers(1, 2**100), min_size=1, max_size=20))
def test_every_claim_has_a_proof(amounts: dict[bytes, int]) -> None:
    root = owed_root(amounts)
    for address, amount in amounts.items():
        value = claim_leaf(address, amount)
        for sibling in claim_proof(amounts, address):
            value = bytes(keccak(value + sibling if value < sibling else sibling + value))
        assert value == root


def sold(collectives: int, **rules: int) -> Any:
    """An epoch with nothing but parts of sold models: ten addresses, 13 base units each."""
    parts = [
        Credit(address=bytes([n]) * 20, collective_id=str(n % collectives), amount=13) for n in range(1, 11)
    ]
    limits = Rules(**{"lot": 0, "min_recipients": 1, "min_collectives": 1} | rules)
    return close_epoch(epoch=1, earned=[], jobs=[], carried={}, rules=limits, parts=parts)


def test_parts_of_a_sold_model_are_paid_in_lots_like_visits() -> None:
    exact, lots = sold(1), sold(1, lot=10)

    assert (exact.earned, exact.sold, exact.paid, exact.jobs) == (130, 130, 130, ())
    assert {amount for _, amount in lots.payouts} == {10}
    assert (lots.paid, lots.carried) == (100, 30)


def test_a_sale_alone_does_not_say_who_made_the_model() -> None:
    """With one collective, or too few recipients, everything waits and mixes with the next epoch."""
    for made in (sold(1, min_collectives=3), sold(3, min_recipients=11)):
        assert made.payouts == ()
        assert (made.earned, made.held_over) == (130, 130)
    assert sold(3, min_collectives=3).paid == 130


@given(
    st.integers(0, 2**100),
    st.dictionaries(st.text(max_size=3), st.integers(0, 50), min_size=1, max_size=30).filter(
        lambda weights: sum(weights.values()) > 0
    ),
)
def test_a_split_sums_to_the_amount_and_follows_the_weights(amount: int, weights: dict[str, int]) -> None:
    found, total = split(amount, weights), sum(weights.values())

    assert sum(found.values()) == amount
    for name, weight in weights.items():
        assert 0 <= found[name] - amount * weight // total <= min(1, weight)
