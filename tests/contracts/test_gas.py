"""Gas: within the limits the design promises, and not more than 5 % above what is on record."""

from __future__ import annotations

import json

import pytest

from marketplace.settlement import orders, sales, services
from marketplace.settlement.services import PUSH_GAS, PUSH_GAS_EACH
from marketplace.settlement.services import RECIPIENTS as PLATFORM_RECIPIENTS
from tests.contracts.evm import GAS as MOST_GAS
from tests.contracts.gas import BATCH, RECIPIENTS, REPORT, measure

GAS = services.GAS | orders.GAS | sales.GAS
MOST = {"gas_per_visit": 1_500, "settle_gas": 45_000, "settle_again_gas": 45_000, "push_500_gas": MOST_GAS}
RECORDED: dict[str, int] = json.loads(REPORT.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def measured() -> dict[str, int]:
    return measure()


@pytest.mark.parametrize("name", sorted(MOST))
def test_a_limit_is_kept(measured: dict[str, int], name: str) -> None:
    assert measured[name] <= MOST[name]


def test_the_number_of_visits_does_not_matter_to_a_settlement(measured: dict[str, int]) -> None:
    assert abs(measured["settle_gas"] - measured["settle_again_gas"]) < 100


@pytest.mark.parametrize("name", sorted(RECORDED))
def test_nothing_costs_5_percent_more_than_on_record(measured: dict[str, int], name: str) -> None:
    """`python -m tests.contracts.gas` puts a new figure on record, to be explained in the commit."""
    assert measured[name] <= RECORDED[name] * 1.05


def test_the_record_is_whole(measured: dict[str, int]) -> None:
    assert set(measured) == set(RECORDED)


@pytest.mark.parametrize(
    ("purpose", "name"),
    [
        ("approve", "approve_gas"),
        ("open", "open_job_with_permit_gas"),
        ("settle", "settle_gas"),
        ("fund", "fund_pool_gas"),
        ("close", "close_gas"),
        ("publish", "publish_gas"),
        ("register", "register_gas"),
        ("revoke", "revoke_gas"),
        ("offer", "offer_gas"),
        ("purchase", "buy_with_permit_gas"),
    ],
)
def test_what_the_outbox_offers_is_enough(measured: dict[str, int], purpose: str, name: str) -> None:
    assert GAS[purpose] >= measured[name] * 1.15


def test_a_full_push_is_offered_enough_even_when_everybody_has_a_credit(measured: dict[str, int]) -> None:
    assert RECIPIENTS == PLATFORM_RECIPIENTS
    offered = PUSH_GAS + PUSH_GAS_EACH * RECIPIENTS

    assert measured["push_to_claimers_gas"] <= offered <= MOST_GAS
    assert measured["push_500_gas"] * RECIPIENTS / BATCH <= offered
