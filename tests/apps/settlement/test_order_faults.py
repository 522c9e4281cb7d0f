"""Orders and purchases through every fault of the outbox: kills, a second worker, lies, timeouts, fee bumps, reorganisations of depth 3."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from collectives.models import Collective
from marketplace.accounts.models import Account
from marketplace.settlement import outbox, selectors, services
from marketplace.settlement.chain import chain
from marketplace.settlement.errors import ChainUnavailable
from marketplace.settlement.models import AssetOrder, ChainTransaction, Escrow
from tests.apps.settlement.conftest import RATE, TOKEN, ChainProcess, settle
from tests.apps.settlement.kills import STEPS, Killed
from tests.apps.settlement.test_assets import PRICE, Published, published, spent
from tests.apps.settlement.test_faults import DEEPEST, Faults, everything_final, storm

__all__ = ["published"]
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "distributor", "aggregator"])


def all_opened() -> bool:
    return everything_final() and not Escrow.objects.filter(status="opening").exists()


@pytest.mark.parametrize("jobs", [1, pytest.param(40, marks=[pytest.mark.long, pytest.mark.timeout(3_600)])])
def test_every_order_is_paid_once_and_opens_one_escrow(
    deployed: ChainProcess,
    collective: Collective,
    consumer: Account,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
    jobs: int,
    published: Published,
) -> None:
    settings.ORDER_FEE = RATE
    services.faucet(consumer, 10 * jobs * TOKEN)
    asset = published(PRICE)
    wallet = services.consumer_wallet(consumer)
    before = held(wallet.address)
    for _ in range(jobs):
        services.open_escrow(
            job_id=uuid.uuid4(),
            consumer_account=consumer,
            rate=RATE,
            budget=TOKEN,
            expires=2**40,
            collective_id=collective.pk,
        )
    settings.CHAIN_CONFIRMATIONS = DEEPEST + 1
    faults = Faults(5, 0.02)
    with monkeypatch.context() as during:
        storm(deployed, faults, during, most=400 * jobs, sweep=services.sweep, done=all_opened)
    settings.CHAIN_CONFIRMATIONS = 1
    settle()

    print(dict(faults.happened))
    assert sum(faults.happened.values()) > 3 * jobs
    assert faults.happened["reorganisation of depth 3"] > 0
    assert not ChainTransaction.objects.filter(state="failed").exists()
    assert list(Escrow.objects.values_list("status", flat=True)) == ["open"] * jobs
    assert AssetOrder.objects.filter(consumed=True).count() == AssetOrder.objects.count() == jobs
    assert spent(asset) == jobs * TOKEN
    cost = jobs * (TOKEN + PRICE + PRICE // 1000 + RATE)
    assert before - held(wallet.address) == cost
    opened = chain().events("CollectiveEscrow", selectors.address("CollectiveEscrow"), "JobOpened")
    assert len({entry["orderId"] for entry in opened}) == len(opened) == jobs


@pytest.mark.parametrize("step", STEPS)
def test_through_kills_at_every_step_an_order_is_paid_once(
    collective: Collective,
    consumer: Account,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    published: Published,
) -> None:
    """The worker dies before and after every second call of a step, and the chain is away now and then."""
    asset = published(PRICE)
    wallet = services.consumer_wallet(consumer)
    real, calls, kills = getattr(outbox, step), 0, 0

    def dying(*arguments: Any) -> Any:
        nonlocal calls, kills
        calls += 1
        kills += calls % 2
        if calls % 4 == 1:
            raise Killed
        found = real(*arguments)
        if calls % 4 == 3:
            raise Killed
        if calls % 7 == 5:
            raise ChainUnavailable("away")
        return found

    monkeypatch.setattr(outbox, step, dying)
    job = uuid.uuid4()
    services.open_escrow(
        job_id=job,
        consumer_account=consumer,
        rate=RATE,
        budget=TOKEN,
        expires=2**40,
        collective_id=collective.pk,
    )
    for _ in range(40):
        try:
            services.sweep()
        except Killed:
            continue
    monkeypatch.setattr(outbox, step, real)
    settle()

    assert kills >= 3
    assert Escrow.objects.get(job_id=job).status == "open"
    assert AssetOrder.objects.count() == 1
    assert spent(asset) == TOKEN
    left = int(chain().read("DevToken", selectors.address("DevToken"), "balanceOf", wallet.address))
    assert left == 100 * TOKEN - TOKEN - PRICE - PRICE // 1000


def held(holder: str) -> int:
    return int(chain().read("DevToken", selectors.address("DevToken"), "balanceOf", holder))
