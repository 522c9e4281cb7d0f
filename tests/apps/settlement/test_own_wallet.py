"""A consumer with a wallet of their own signs one permit; exactly that amount comes, once, and can be sent back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from eth_account import Account as EthAccount

from marketplace.accounts.models import Account
from marketplace.settlement import outbox, own_wallet, permits, selectors, services
from marketplace.settlement.chain import chain, encode_call
from marketplace.settlement.errors import SettlementError
from marketplace.settlement.models import ChainTransaction, FundsMovement
from tests.apps.cast import account
from tests.apps.settlement.conftest import TOKEN, ChainProcess, Lay, settle
from tests.apps.settlement.test_money import balance

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "distributor", "aggregator"])
OWN = EthAccount.from_key(bytes(range(2, 34)))
"""The consumer's own wallet: it holds ten tokens and no coin for gas."""


@pytest.fixture
def carla(deployed: ChainProcess, lay: Lay) -> Account:
    def make() -> None:
        account("carla")
        outbox.enqueue(
            key="mint:own",
            purpose="faucet",
            to=selectors.address("DevToken"),
            data=encode_call("DevToken", "mint", [OWN.address, 10 * TOKEN]),
            gas=120_000,
        )
        settle()

    lay("own", make)
    return Account.objects.get(email="carla@people.example")


def signed(asked: permits.Question, **domain: Any) -> bytes:
    typed = asked.typed_data()
    typed["domain"] |= domain
    return bytes(EthAccount.sign_typed_data(OWN.key, full_message=typed).signature)


def bring(carla: Account, amount: int) -> FundsMovement:
    asked = own_wallet.ask(account=carla, owner=OWN.address, amount=amount)
    return carried(carla, asked, signed(asked))


def carried(carla: Account, asked: permits.Question, signature: bytes, **changed: Any) -> FundsMovement:
    values = {"amount": asked.value, "nonce": asked.nonce, "deadline": asked.deadline} | changed
    return own_wallet.bring(account=carla, owner=OWN.address, signature=signature, **values)


def here(carla: Account) -> int:
    return balance(services.consumer_wallet(carla).address)


def test_one_signature_brings_exactly_its_amount_and_the_platform_pays_the_gas(carla: Account) -> None:
    made = bring(carla, 4 * TOKEN + 1)
    settle()

    made.refresh_from_db()
    assert made.status == FundsMovement.Status.DONE
    assert (here(carla), balance(OWN.address)) == (4 * TOKEN + 1, 6 * TOKEN - 1)
    assert chain().native_balance(OWN.address) == 0
    place = selectors.address("DevToken")
    wallet = services.consumer_wallet(carla).address
    assert chain().read("DevToken", place, "allowance", OWN.address, wallet) == 0, "nothing more can be taken"
    keys = ChainTransaction.objects.filter(key__regex="^(gas|permit|bring):").values_list("key", flat=True)
    assert [key.split(":")[0] for key in keys] == ["gas", "permit", "bring"]


def test_the_same_permit_is_one_movement_and_a_used_one_is_refused_by_its_number(carla: Account) -> None:
    asked = own_wallet.ask(account=carla, owner=OWN.address, amount=TOKEN)
    signature = signed(asked)
    assert carried(carla, asked, signature) == carried(carla, asked, signature)
    settle()
    with pytest.raises(SettlementError, match=r"has number 0 and 0x\w{6}… is at number 1") as raised:
        own_wallet.bring(
            account=account("charlie"),
            owner=OWN.address,
            amount=TOKEN,
            nonce=0,
            deadline=asked.deadline,
            signature=signature,
        )

    assert raised.value.code == "used_permit"
    assert (FundsMovement.objects.count(), balance(OWN.address)) == (1, 9 * TOKEN)


Refusal = tuple[Callable[[Account], Any], str, str]


def expired(carla: Account) -> None:
    asked = own_wallet._question(OWN.address, services.consumer_wallet(carla), TOKEN, int(time.time()) - 90)
    carried(carla, asked, signed(asked))


def of_another_chain(carla: Account) -> None:
    asked = own_wallet.ask(account=carla, owner=OWN.address, amount=TOKEN)
    carried(carla, asked, signed(asked, chainId=1))


def of_another_amount(carla: Account) -> None:
    asked = own_wallet.ask(account=carla, owner=OWN.address, amount=TOKEN)
    carried(carla, asked, signed(asked), amount=2 * TOKEN)


def too_much(carla: Account) -> None:
    own_wallet.ask(account=carla, owner=OWN.address, amount=12 * TOKEN)


def typed_wrongly(carla: Account) -> None:
    wrong = OWN.address[:-1] + ("0" if OWN.address[-1] != "0" else "1")
    own_wallet.send(account=carla, to=wrong, amount=TOKEN)


def too_short(carla: Account) -> None:
    own_wallet.send(account=carla, to=OWN.address[:-1], amount=TOKEN)


def more_than_is_here(carla: Account) -> None:
    own_wallet.send(account=carla, to=OWN.address, amount=TOKEN)


@pytest.mark.parametrize(
    ("attempt", "code", "numbers"),
    [
        (expired, "expired_permit", r"good until \d+ \w+ \d{4} [\d:]{8} UTC, 9\d seconds ago"),
        (of_another_chain, "not_signed_by_owner", r"for 1 OCEAN on chain 1337 with permit number 0"),
        (of_another_amount, "not_signed_by_owner", r"for 2 OCEAN on chain 1337"),
        (too_much, "insufficient_funds", r"holds 10 OCEAN and you asked for 12: 2 are missing"),
        (typed_wrongly, "bad_checksum", r"EIP-55"),
        (too_short, "bad_address", r"40 hex digits; this has 41 characters"),
        (more_than_is_here, "insufficient_funds", r"hold 0 OCEAN here and asked for 1\."),
    ],
)
def test_what_cannot_be_is_refused_with_its_numbers_and_nothing_moves(
    carla: Account, attempt: Callable[[Account], Any], code: str, numbers: str
) -> None:
    known = ChainTransaction.objects.count()

    with pytest.raises(SettlementError, match=rf"{numbers}.*Nothing was moved") as raised:
        attempt(carla)

    assert raised.value.code == code
    assert (ChainTransaction.objects.count(), FundsMovement.objects.count()) == (known, 0)


def test_a_permit_that_somebody_else_carried_first_costs_a_second_signature_and_no_token(
    carla: Account,
) -> None:
    asked = own_wallet.ask(account=carla, owner=OWN.address, amount=3 * TOKEN)
    signature = signed(asked)
    v, r, s = permits.parts(signature)
    arguments = [OWN.address, asked.spender, asked.value, asked.deadline, v, r, s]
    outbox.enqueue(
        key="stranger",
        purpose="admin",
        to=asked.token,
        data=encode_call("DevToken", "permit", arguments),
        gas=110_000,
    )
    made = carried(carla, asked, signature)
    settle()
    made.refresh_from_db()
    assert made.status == FundsMovement.Status.FAILED
    assert "Nothing was moved" in made.reason
    assert here(carla) == 0

    bring(carla, 3 * TOKEN)
    settle()

    assert (here(carla), balance(OWN.address)) == (3 * TOKEN, 7 * TOKEN)
    assert not ChainTransaction.objects.filter(key__startswith="permit:").exclude(key=f"permit:{made.pk}")


def test_what_no_job_holds_is_sent_back_to_the_last_unit(carla: Account) -> None:
    bring(carla, 2 * TOKEN)
    with pytest.raises(SettlementError, match=r"hold 0 OCEAN here"):
        own_wallet.send(account=carla, to=OWN.address, amount=TOKEN)
    settle()
    first = own_wallet.send(account=carla, to=OWN.address.lower(), amount=TOKEN + 7)
    with pytest.raises(SettlementError, match="on their way") as raised:
        own_wallet.send(account=carla, to=OWN.address, amount=TOKEN - 7)
    settle()

    first.refresh_from_db()
    assert (raised.value.code, first.status, first.address) == ("busy", "done", OWN.address)
    assert (here(carla), balance(OWN.address)) == (TOKEN - 7, 9 * TOKEN + 7)


def test_the_pages_own_requests_bring_and_send_and_say_what_is_wrong(carla: Account) -> None:
    client = Client()
    client.force_login(carla, backend="django.contrib.auth.backends.ModelBackend")
    many = client.post("/funds/permit/", {"owner": OWN.address, "amount": "0.0000000000000000001"})
    assert many.status_code == 422
    assert "0.0000000000000000001 has 19 decimals; a token has 18" in many.json()["problem"].replace(
        "1E-19", "0.0000000000000000001"
    )
    typed = client.post("/funds/permit/", {"owner": OWN.address, "amount": "2.5"}).json()["typed"]
    assert typed["message"]["value"] == str(25 * TOKEN // 10)
    signature = EthAccount.sign_typed_data(OWN.key, full_message=json.loads(json.dumps(typed))).signature
    body = {"owner": OWN.address, "amount": "2.5", "signature": "0x" + signature.hex()}
    body |= {name: typed["message"][name] for name in ("nonce", "deadline")}
    assert client.post("/funds/bring/", body | {"signature": "0x00"}).status_code == 422
    assert client.post("/funds/bring/", body).json() == {"next": "/funds/"}
    settle()
    client.post("/funds/send/", {"amount": "0.5", "to": OWN.address})
    settle()

    page = client.get("/funds/").content.decode()
    assert here(carla) == 2 * TOKEN
    assert "brought from your own wallet" in page
    assert "sent to your own wallet" in page
    assert "take your permit to the chain" in page
    stranger = account("ivo")
    client.force_login(stranger, backend="django.contrib.auth.backends.ModelBackend")
    assert client.post("/funds/permit/", {"owner": OWN.address, "amount": "1"}).status_code == 403
