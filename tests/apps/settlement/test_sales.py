"""A finished model is sold: paid once, split to the last unit, individuals by their visits through the pool, buyers may download."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from collectives.models import Algorithm, Checkpoint, Collective, Job
from collectives.services import algorithms
from collectives.services.plan import JobPlan
from marketplace.accounts.models import Account
from marketplace.settlement import outbox, sales, selectors, services
from marketplace.settlement.chain import chain
from marketplace.settlement.errors import SettlementError
from marketplace.settlement.models import ChainTransaction, Escrow, ModelOffer, ModelPurchase, Payout
from tests.apps.cast import MANIFEST, account, register
from tests.apps.settlement.conftest import RATE, TOKEN, ChainProcess, Lay, Ledger, settle
from tests.apps.settlement.kills import STEPS, Killed
from tests.apps.settlement.test_money import balance, finish

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "distributor", "aggregator"])
PRICE = 10 * TOKEN + 3
WEIGHTS = {1: 3, 2: 1, 3: 1}


@pytest.fixture
def owner(deployed: ChainProcess, lay: Lay) -> Account:
    """Somebody with 100 tokens, who owns a collective later."""

    def make() -> None:
        services.faucet(account("alice"), 100 * TOKEN)
        settle()

    lay("owner", make)
    return Account.objects.get(email="alice@people.example")


@pytest.fixture
def model(owner: Account, ledger: Ledger, lay: Lay) -> Job:
    """A job of the owner's own collective, run to its end: five visits of three wallets, one checkpoint."""
    lay("model", lambda: run_a_job(owner, ledger), ledger)
    return Job.objects.get()


def run_a_job(owner: Account, ledger: Ledger) -> None:
    collective: Collective = register(owner)
    algorithm: Algorithm = algorithms.submit(actor=account("aron"), manifest=MANIFEST)
    job = Job.objects.create(
        collective=collective,
        algorithm=algorithm,
        rate=RATE,
        visits_budget=200,
        max_rounds=3,
        plan=JobPlan(cohort=2).to_json(),
        status=Job.Status.COMPLETED,
        visits_earned=5,
    )
    Checkpoint.objects.create(job=job, number=0, hash="00" * 32, weights=b"", wallets=0)
    Checkpoint.objects.create(job=job, number=1, hash="11" * 32, weights=b"", wallets=3)
    services.open_escrow(job_id=job.pk, consumer_account=owner, rate=RATE, budget=TOKEN, expires=2**40)
    settle()
    for wallet, times in WEIGHTS.items():
        ledger.visit(job.pk, range(wallet, wallet + 1), times)
    finish(job.pk)


@pytest.fixture
def buyer(model: Job, lay: Lay) -> Account:
    def make() -> None:
        services.faucet(account("carla"), 100 * TOKEN)
        settle()

    lay("buyer", make)
    return Account.objects.get(email="carla@people.example")


Offered = Callable[..., ModelOffer]


@pytest.fixture
def offered(owner: Account, model: Job, ledger: Ledger, lay: Lay) -> Offered:
    """`offered(price)`: the model is for sale."""

    def one(price: int = PRICE) -> ModelOffer:
        def make() -> None:
            sales.offer(actor=owner, job_id=model.pk, price=price)
            settle()

        lay(f"offered-{price}", make, ledger)
        return ModelOffer.objects.get()

    return one


def address(wallet: int) -> str:
    return "0x" + wallet.to_bytes(20, "big").hex()


def test_a_sale_reaches_collective_and_individuals_to_the_last_unit(
    owner: Account, model: Job, buyer: Account, offered: Offered
) -> None:
    offer = offered()
    before = {wallet: balance(address(wallet)) for wallet in WEIGHTS}
    owners = balance(services.consumer_wallet(owner).address)
    sales.buy(account=buyer, job_id=model.pk, most=PRICE)
    settle()
    services.run_epoch()
    settle()

    purchase = ModelPurchase.objects.get()
    part = PRICE * 800_000 // 1_000_000
    assert (purchase.status, purchase.price, purchase.to_individuals, purchase.epoch) == (
        "paid",
        PRICE,
        part,
        2,
    )
    assert (offer.to_individuals, offer.to_collective) == (part, PRICE - part)
    assert balance(services.consumer_wallet(owner).address) - owners == PRICE - part
    got = {wallet: balance(address(wallet)) - before[wallet] for wallet in WEIGHTS}
    assert sum(got.values()) == part
    shares = {wallet: part * times // 5 for wallet, times in WEIGHTS.items()}
    rest = part - sum(shares.values())
    assert rest == 1, "something is left by rounding"
    assert got == shares | {1: shares[1] + rest}
    assert balance(services.consumer_wallet(buyer).address) == 100 * TOKEN - PRICE
    wallet = services.consumer_wallet(buyer).address
    assert chain().read("ERC20Template", offer.asset.datatoken, "balanceOf", wallet) == TOKEN
    assert services.reconcile().differences() == []
    totals = selectors.collective_totals(model.collective_id)
    assert (totals.settled, totals.waiting) == (5 * RATE, 0)
    assert (totals.sold, totals.sold_to_individuals) == (PRICE - part, part)
    assert services.run_epoch() is None, "a sale is stated once"


def test_who_paid_downloads_and_nobody_else(
    owner: Account, model: Job, buyer: Account, offered: Offered
) -> None:
    offered()
    assert sales.download(buyer, model.pk) is None
    sales.buy(account=buyer, job_id=model.pk, most=PRICE)
    assert sales.download(buyer, model.pk) is None, "not before the chain has confirmed it"
    settle()

    found = sales.download(buyer, model.pk)
    assert found is not None
    assert found.number == 1
    sales.withdraw(actor=owner, job_id=model.pk)
    settle()
    assert sales.download(buyer, model.pk) is not None
    with pytest.raises(SettlementError, match="not for sale"):
        sales.buy(account=account("charlie"), job_id=model.pk, most=PRICE)


def test_the_listing_shows_the_split_and_the_file_goes_to_who_paid(
    owner: Account, model: Job, buyer: Account, offered: Offered
) -> None:
    offered(10 * TOKEN)
    client = Client()
    client.force_login(buyer, backend="django.contrib.auth.backends.ModelBackend")
    page = client.get("/funds/models/").content.decode()
    assert "8 OCEAN" in page
    assert "2 OCEAN" in page
    assert client.get(f"/funds/models/{model.pk}/file/").status_code == 404
    assert client.post(f"/funds/models/{model.pk}/buy/", {"most": str(10 * TOKEN)}).status_code == 302
    settle()

    answer = client.get(f"/funds/models/{model.pk}/file/")
    assert answer.status_code == 200
    assert "attachment" in answer["Content-Disposition"]


def test_a_program_reads_costs_and_the_split_buys_and_downloads(
    owner: Account, model: Job, buyer: Account, offered: Offered
) -> None:
    offered(10 * TOKEN)
    client = Client()
    client.force_login(buyer, backend="django.contrib.auth.backends.ModelBackend")
    cost = client.get(f"/api/v1/costs/{model.collective_id}", {"budget": str(TOKEN)}).json()
    assert cost["total"] == str(sum(int(fee["amount"]) for fee in cost["fees"])) == str(TOKEN)
    assert [fee["name"] for fee in cost["fees"]][1] == "Datatoken of the collective, 1.0"
    assert int(cost["native"]) > sum(row["gas"] for row in cost["transactions"]) > 500_000
    assert client.get(f"/api/v1/costs/{model.collective_id}", {"budget": "1.5"}).json()["code"] == "invalid"
    (listed,) = client.get("/api/v1/models").json()["results"]
    assert (listed["to_individuals"], listed["to_collective"]) == (str(8 * TOKEN), str(2 * TOKEN))
    assert listed["purchase"] is None
    assert client.get(f"/api/v1/models/{model.pk}/file").json()["code"] == "not_bought"
    body = {"most": listed["price"]}
    where = f"/api/v1/models/{model.pk}/purchases"
    assert client.post(where, body, content_type="application/json").status_code == 201
    settle()

    assert client.get("/api/v1/models").json()["results"][0]["purchase"] == "paid"
    assert client.get(f"/api/v1/models/{model.pk}/file").status_code == 200


def test_buying_twice_pays_once_and_a_rise_costs_nothing(
    owner: Account, model: Job, buyer: Account, offered: Offered
) -> None:
    offered()
    first = sales.buy(account=buyer, job_id=model.pk, most=PRICE)
    assert sales.buy(account=buyer, job_id=model.pk, most=PRICE) == first
    settle()
    assert balance(services.consumer_wallet(buyer).address) == 100 * TOKEN - PRICE
    other = account("charlie")
    offered(2 * PRICE)

    with pytest.raises(SettlementError, match=r"above your 10\.\d+\. Nothing was moved"):
        sales.buy(account=other, job_id=model.pk, most=PRICE)
    with pytest.raises(SettlementError, match=r"holds 0 OCEAN; this model costs 20\.0"):
        sales.buy(account=other, job_id=model.pk, most=2 * PRICE)

    assert ModelPurchase.objects.count() == 1


def test_only_the_owner_sells_only_what_they_paid_and_finished(
    owner: Account, model: Job, buyer: Account
) -> None:
    with pytest.raises(SettlementError, match="collective's owner"):
        sales.offer(actor=buyer, job_id=model.pk, price=PRICE)
    with pytest.raises(SettlementError, match="no price"):
        sales.offer(actor=owner, job_id=model.pk, price=0)
    Job.objects.filter(pk=model.pk).update(status=Job.Status.RUNNING)
    with pytest.raises(SettlementError, match="goes on"):
        sales.offer(actor=owner, job_id=model.pk, price=PRICE)
    Job.objects.filter(pk=model.pk).update(status=Job.Status.COMPLETED)
    Escrow.objects.filter(job_id=model.pk).update(consumer=services.consumer_wallet(buyer))
    with pytest.raises(SettlementError, match="paid themselves"):
        sales.offer(actor=owner, job_id=model.pk, price=PRICE)

    assert not ModelOffer.objects.exists()


def test_visits_that_are_not_kept_make_a_model_unsellable(owner: Account, model: Job, ledger: Ledger) -> None:
    sales.tell_settled()
    ledger.kept[str(model.pk)].clear()

    with pytest.raises(SettlementError, match="Of the 5 visits that made this model 0 are kept"):
        sales.offer(actor=owner, job_id=model.pk, price=PRICE)


@pytest.mark.parametrize("step", STEPS)
def test_through_kills_at_every_step_a_sale_is_paid_and_split_once(
    owner: Account, model: Job, buyer: Account, monkeypatch: pytest.MonkeyPatch, step: str, offered: Offered
) -> None:
    offered()
    paid_before = sum(Payout.objects.values_list("amount", flat=True))
    real, calls = getattr(outbox, step), Counter[str]()

    def dying(*arguments: Any) -> Any:
        calls["all"] += 1
        calls["kills"] += calls["all"] % 2
        if calls["all"] % 4 == 1:
            raise Killed
        found = real(*arguments)
        if calls["all"] % 4 == 3:
            raise Killed
        return found

    monkeypatch.setattr(outbox, step, dying)
    sales.buy(account=buyer, job_id=model.pk, most=PRICE)
    for _ in range(30):
        try:
            services.sweep()
            if sales.waiting():
                services.run_epoch()
        except Killed:
            continue
    monkeypatch.setattr(outbox, step, real)
    settle()
    services.run_epoch()

    assert calls["kills"] >= 2
    part = PRICE * 800_000 // 1_000_000
    assert sum(Payout.objects.values_list("amount", flat=True)) - paid_before == part
    assert balance(services.consumer_wallet(buyer).address) == 100 * TOKEN - PRICE
    assert not ChainTransaction.objects.filter(state="failed").exists()
    assert services.reconcile().differences() == []


def test_the_key_of_an_epoch_is_its_own() -> None:
    keys = {sales.sealing_key(number).reveal() for number in range(4)}
    assert len(keys) == 4
    assert all(len(key) == 32 for key in keys)
    assert sales.sealing_key(1).reveal() == sales.sealing_key(1).reveal()


def test_nobody_may_offer_what_does_not_exist(owner: Account) -> None:
    with pytest.raises(SettlementError, match="collective's owner"):
        sales.offer(actor=owner, job_id=uuid.uuid4(), price=PRICE)
    assert selectors.new_jobs_blocked() is None
