"""Collectives and algorithms are Ocean assets; an order of one opens an escrow. On a real chain with Ocean's own contracts."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from eth_utils import to_checksum_address

from collectives.models import Collective
from collectives.services import algorithms
from marketplace.accounts.models import Account, Role
from marketplace.settlement import (
    assets,
    ddo,
    deployment,
    orders,
    permits,
    preview,
    selectors,
    services,
)
from marketplace.settlement.chain import chain, decode_logs, job_bytes, ocean_addresses
from marketplace.settlement.errors import ChainUnavailable, SettlementError
from marketplace.settlement.models import Asset, AssetOrder, ChainTransaction, Escrow
from tests.apps.cast import MANIFEST, account
from tests.apps.settlement.conftest import RATE, TOKEN, ChainProcess, Lay, settle

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "distributor", "aggregator"])
PRICE = 3 * TOKEN


Published = Callable[..., Asset]


@pytest.fixture
def published(collective: Collective, lay: Lay) -> Published:
    """`published(price)`: the collective's asset on chain. For the beginning of a test."""

    def one(price: int = 0) -> Asset:
        lay(f"published-{price}", lambda: publish(collective, price))
        return Asset.objects.get(kind="collective")

    return one


def publish(collective: Collective, price: int) -> None:
    made = assets.publish(kind="collective", subject=collective.pk, price=price)
    settle()
    made.refresh_from_db()
    if made.price != price:  # an earlier sweep published it, free
        assets.set_price(asset=made, price=price, actor=collective.owner)
        settle()


def fund(consumer: Account, collective: Collective, budget: int = TOKEN) -> uuid.UUID:
    job = uuid.uuid4()
    services.open_escrow(
        job_id=job,
        consumer_account=consumer,
        rate=RATE,
        budget=budget,
        expires=int(time.time()) + 86_400,
        collective_id=collective.pk,
    )
    settle()
    return job


def held(token: str, holder: str) -> int:
    return int(chain().read("ERC20Template", token, "balanceOf", holder))


def spent(asset: Asset) -> int:
    """Datatokens that reached the owner and Ocean's community, which takes 3 % of each."""
    owner = held(asset.datatoken, asset.payee.address)
    assert owner % (97 * 10**16) == 0
    return owner + held(asset.datatoken, selectors.address("OPFCommunityFeeCollector"))


def receipt_of(key: str) -> Any:
    found = chain().receipt(ChainTransaction.objects.get(key__startswith=key).hash)
    assert found is not None
    return found


def test_the_document_of_a_collective_is_on_chain_with_its_hash(
    collective: Collective, published: Published
) -> None:
    asset = published()

    assert asset.status == Asset.Status.PUBLISHED
    (event,) = decode_logs("ERC721Template", receipt_of(f"describe:{asset.pk}").logs, "MetadataCreated")
    assert to_checksum_address(event["address"]) == asset.nft
    assert event["metaDataHash"].hex() == hashlib.sha256(event["data"]).hexdigest() == asset.document_hash
    document = json.loads(event["data"])
    assert document == asset.document
    assert document["id"] == ddo.did(asset.nft, 1337)
    assert document["services"][0]["datatokenAddress"] == asset.datatoken
    facts = document["metadata"]["additionalInformation"]
    terms = collective.terms.first()
    assert (facts["terms_hash"], facts["rate"]) == (terms.hash, str(RATE))
    assert "alice" not in json.dumps(document), "nothing in it says who owns it"
    assert chain().read("ERC721Template", asset.nft, "getMetaData")[2:] == [0, True]


def test_what_is_announced_is_published_once_and_the_collective_then_names_it(collective: Collective) -> None:
    settle()
    algorithm = algorithms.submit(actor=account("aron"), manifest=MANIFEST)
    algorithms.approve(actor=account("ada"), algorithm=algorithm)
    algorithm.refresh_from_db()
    algorithms.announce(actor=collective.owner, collective=collective, algorithm=algorithm, reason="A try.")
    settle()
    assert assets.refresh() == 1
    settle()
    assert assets.refresh() == 0

    found = {(a.kind, a.subject): a for a in Asset.objects.all()}
    assert set(found) == {("collective", str(collective.pk)), ("algorithm", algorithm.manifest_hash)}
    theirs = found["algorithm", algorithm.manifest_hash]
    trusted = found["collective", str(collective.pk)].document["services"][0]["compute"][
        "publisherTrustedAlgorithms"
    ]
    assert trusted == [{"did": ddo.did(theirs.nft, 1337), "filesChecksum": algorithm.manifest_hash}]
    assert theirs.document["metadata"]["type"] == "algorithm"


def test_a_free_order_spends_exactly_one_datatoken_and_opens_one_escrow(
    collective: Collective, consumer: Account, published: Published
) -> None:
    asset = published()
    job = fund(consumer, collective)

    escrow = Escrow.objects.get(job_id=job)
    order = AssetOrder.objects.get()
    wallet = services.consumer_wallet(consumer)
    assert (escrow.status, escrow.asset_order, order.consumed) == ("open", order, True)
    assert order.order_id == escrow.order_id == ChainTransaction.objects.get(key=f"order:{order.pk}").hash
    assert held(asset.datatoken, wallet.address) == 0
    assert spent(asset) == TOKEN, "the datatoken is spent to the owner"
    (event,) = decode_logs("ERC20Template", receipt_of(f"order:{order.pk}").logs, "OrderStarted")
    assert (event["consumer"], event["amount"]) == (wallet.address, TOKEN)
    (fee,) = decode_logs("ERC20Template", receipt_of(f"order:{order.pk}").logs, "ProviderFee")
    assert (fee["providerFeeAmount"], fee["validUntil"]) == (0, order.valid_until)
    (opened,) = chain().events("CollectiveEscrow", selectors.address("CollectiveEscrow"), "JobOpened")
    assert (opened["jobId"], "0x" + opened["orderId"].hex()) == (job_bytes(job), order.order_id)
    assert not ChainTransaction.objects.filter(key__startswith="approve:").exists(), (
        "a permit needs no approval"
    )
    assert not ChainTransaction.objects.filter(state="failed").exists()


def test_a_fixed_price_and_every_fee_are_paid_as_the_preview_says(
    collective: Collective, consumer: Account, settings: Any, published: Published
) -> None:
    settings.ORDER_FEE = TOKEN // 10
    asset = published(PRICE)
    wallet = services.consumer_wallet(consumer)
    cost = preview.of_job(wallet, asset, 2 * TOKEN)
    fund(consumer, collective, 2 * TOKEN)

    lines = {line.name: line.amount for line in cost.lines}
    assert lines["Datatoken of the collective, 1.0"] == PRICE
    assert lines["Ocean community fee on buying"] == PRICE // 1000
    assert lines["Provider fee of the order"] == TOKEN // 10
    assert cost.total == 2 * TOKEN + PRICE + PRICE // 1000 + TOKEN // 10
    paid = 100 * TOKEN - int(
        chain().read("DevToken", selectors.address("DevToken"), "balanceOf", wallet.address)
    )
    assert paid == cost.total
    gas = {
        row.key.split(":")[0]: row.gas_used
        for row in ChainTransaction.objects.filter(purpose__startswith="consumer")
    }
    assert sum(gas.values()) < cost.gas_total
    assert cost.native is not None
    assert "3 %" in cost.notes[0]


def test_jobs_of_one_consumer_take_turns_and_all_open(
    collective: Collective, consumer: Account, published: Published
) -> None:
    """Each needs an allowance of its own; side by side they would overwrite one another's."""
    published(PRICE)
    jobs = [uuid.uuid4() for _ in range(3)]
    for number, job in enumerate(jobs, 1):
        services.open_escrow(
            job_id=job,
            consumer_account=consumer,
            rate=RATE,
            budget=number * TOKEN,
            expires=2**40,
            collective_id=collective.pk,
        )
    settle()

    assert set(Escrow.objects.values_list("status", flat=True)) == {"open"}
    assert len(set(Escrow.objects.values_list("order_id", flat=True))) == 3


def test_an_order_whose_escrow_failed_opens_the_next_one(
    collective: Collective, consumer: Account, published: Published
) -> None:
    published(PRICE)
    wallet = services.consumer_wallet(consumer)
    job = uuid.uuid4()
    past = int(time.time()) - 10
    services.open_escrow(
        job_id=job,
        consumer_account=consumer,
        rate=RATE,
        budget=TOKEN,
        expires=past,
        collective_id=collective.pk,
    )
    settle()
    failed = Escrow.objects.get(job_id=job)
    assert failed.status == "failed"
    assert failed.reason.startswith("the chain reverted it: the job would have ended at ")
    assert preview.order_cost(wallet, Asset.objects.get(kind="collective")) == 0

    services.open_escrow(
        job_id=job,
        consumer_account=consumer,
        rate=RATE,
        budget=TOKEN,
        expires=2**40,
        collective_id=collective.pk,
    )
    settle()

    again = Escrow.objects.get(job_id=job)
    assert again.status == "open"
    assert AssetOrder.objects.count() == 1


def test_a_replayed_order_is_refused_by_its_number_and_nothing_moves(
    collective: Collective, consumer: Account, published: Published
) -> None:
    published()
    fund(consumer, collective)
    order = AssetOrder.objects.get()
    # As if our own row had forgotten that it was used: the contract has not.
    AssetOrder.objects.filter(pk=order.pk).update(consumed=False)
    Escrow.objects.update(asset_order=None)
    left = held(selectors.address("DevToken"), services.consumer_wallet(consumer).address)

    again = Escrow.objects.get(job_id=fund(consumer, collective, 2 * TOKEN))

    assert again.status == "failed"
    assert again.reason == f"the chain reverted it: order {order.order_id[:10]}… opened a job before"
    assert held(selectors.address("DevToken"), services.consumer_wallet(consumer).address) == left


def test_an_order_past_its_validity_is_renewed_without_another_datatoken(
    collective: Collective, consumer: Account, settings: Any, published: Published
) -> None:
    settings.ORDER_FEE = TOKEN // 10
    asset = published()
    order = orders.start(services.consumer_wallet(consumer), asset)
    settle()
    AssetOrder.objects.filter(pk=order.pk).update(valid_until=int(time.time()) + 1)

    fund(consumer, collective)

    order.refresh_from_db()
    assert (order.consumed, order.renewals) == (True, 1)
    assert order.valid_until > time.time() + orders.MARGIN
    (event,) = decode_logs("ERC20Template", receipt_of(f"reuse:{order.pk}").logs, "OrderReused")
    assert "0x" + event["orderTxId"].hex() == order.order_id
    assert spent(asset) == TOKEN
    assert not ChainTransaction.objects.filter(state="failed").exists()


def test_without_an_asset_a_job_names_no_order_in_development_only(
    collective: Collective, consumer: Account, settings: Any
) -> None:
    settings.PUBLISH_ASSETS = False
    job = fund(consumer, collective)
    assert Escrow.objects.get(job_id=job).order_id == "0x" + "00" * 32
    settings.DEVELOPMENT = False

    with pytest.raises(SettlementError, match="nothing to order") as raised:
        fund(consumer, collective)

    assert raised.value.code == "not_published"


def test_a_price_that_cannot_be_paid_is_said_with_its_numbers(
    collective: Collective, consumer: Account, published: Published
) -> None:
    published(PRICE)

    with pytest.raises(
        SettlementError, match=r"holds 100 OCEAN; this job needs 99 and its order 3\.003\. Add 2\.003"
    ):
        fund(consumer, collective, 99 * TOKEN)

    assert not Escrow.objects.exists()


def test_a_token_without_permits_is_approved_instead(
    collective: Collective, consumer: Account, monkeypatch: pytest.MonkeyPatch, published: Published
) -> None:
    """Ocean's datatokens answer no question about a signing domain, as OCEAN itself on some chains."""
    asset = published()
    wallet = services.consumer_wallet(consumer)
    with monkeypatch.context() as other_token:
        other_token.setattr(permits.selectors, "address", lambda name: asset.datatoken)
        assert permits.sign(wallet, wallet.address, TOKEN) is None
    assert permits.sign(wallet, wallet.address, TOKEN) is not None
    monkeypatch.setattr(permits, "sign", lambda *_: None)

    job = fund(consumer, collective)

    assert Escrow.objects.get(job_id=job).status == "open"
    keys = ChainTransaction.objects.filter(purpose__startswith="consumer").values_list("key", flat=True)
    assert [key.split(":")[0] for key in keys] == ["dispense", "order", "approve", "open"]


def test_the_consumer_sees_orders_with_their_validity_and_transactions_in_words(
    collective: Collective, consumer: Account, published: Published
) -> None:
    published(PRICE)
    consumer.grant(Role.CONSUMER)
    fund(consumer, collective)
    client = Client()
    client.force_login(consumer, backend="django.contrib.auth.backends.ModelBackend")

    page = client.get("/funds/").content.decode()

    order = AssetOrder.objects.get()
    assert order.order_id[2:10] in page
    assert "Fee paid until" in page
    for words in ("buy a collective&#x27;s datatoken", "start an order", "put a budget into escrow"):
        assert words in page
    client.force_login(collective.owner, backend="django.contrib.auth.backends.ModelBackend")
    page = client.get(f"/funds/collectives/{collective.pk}/").content.decode()
    asset = Asset.objects.get(kind="collective")
    assert ddo.did(asset.nft, 1337)[:12] in page
    assert client.post(f"/funds/collectives/{collective.pk}/price/", {"price": "0.5"}).status_code == 302
    settle()
    asset.refresh_from_db()
    assert asset.price == TOKEN // 2
    assert client.post(f"/funds/collectives/{collective.pk}/state/", {"state": 4}).status_code == 404
    assert client.post(f"/funds/collectives/{collective.pk}/state/", {"state": 1}).status_code == 302
    asset.refresh_from_db()
    assert (asset.state, asset.orderable) == (Asset.State.END_OF_LIFE, False)


def test_on_a_public_chain_oceans_own_addresses_are_used(settings: Any, devchain: ChainProcess) -> None:
    """The book is asked by the pinned chain id; a chain it does not know is refused."""
    settings.DEVELOPMENT = False
    with pytest.raises(SettlementError, match="not on chain 1337"):
        deployment.deploy()
    book = ocean_addresses(11155111)
    assert book is not None
    settings.CHAIN_ID = 11155111
    with pytest.raises(ChainUnavailable, match="serves chain 1337, but CHAIN_ID says 11155111"):
        deployment.deploy()
    assert set(deployment.BOOK.values()) <= set(book)
