"""Collecting what a finished demo must be able to show: whose facts lie where, sums bit for bit, every wallet paid what it earned."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from django.db import connections

from collectives.models import Checkpoint, Job
from collectives.services.plan import JobPlan
from marketplace.demo.hosts import Hosts
from marketplace.demo.postgres_places import flush, log_places, postgres_places
from marketplace.demo.result import TabFacts
from marketplace.demo.scan import Needle, Place, database_places, folder_places
from marketplace.demo.who_knows import Fact
from marketplace.individuals.models import SubscriptionLink
from marketplace.settlement.models import ChainTransaction, Payout

WINDOW = 16
OF_A_SERVER = 64
"""The same in a database server's own files: their page headers and catalogues are full of small whole numbers in a row."""


@dataclass(frozen=True, kw_only=True)
class WalletFacts:
    """What the demo knows of wallet `number` because it created it."""

    number: int
    email: str
    canary: str
    subscription_key: str
    payout_address: str


def canary(number: int, seed: int) -> str:
    """A text that exists nowhere but in one wallet."""
    return "canary-" + hashlib.sha256(f"canary:{seed}:{number}".encode()).hexdigest()[:20]


def wallet_facts(
    emails: Sequence[str], canaries: Sequence[str], addresses: Mapping[str, str]
) -> list[WalletFacts]:
    """Facts of all wallets; `addresses` maps subscription keys to payout addresses (hex, no 0x)."""
    keys = dict(SubscriptionLink.objects.values_list("account__email", "subscription_key"))
    return [
        WalletFacts(
            number=number,
            email=email,
            canary=canaries[number],
            subscription_key=keys.get(email, ""),
            payout_address=addresses.get(keys.get(email, ""), ""),
        )
        for number, email in enumerate(emails)
    ]


def payout_addresses() -> dict[str, str]:
    """Subscription key -> payout address, read where only the aggregator may: its own database."""
    with connections["aggregator"].cursor() as cursor:
        cursor.execute("select subscription_key, address from aggregator_payoutaddress")
        return dict(cursor.fetchall())


def needles(
    facts: Sequence[WalletFacts],
    encoded: Any,
    updates: Mapping[int, Sequence[Any]],
    *,
    window: int = WINDOW,
) -> list[Needle]:
    """Every form in which a wallet's facts could lie around.

    Args:
        window: so many bytes of a row of numbers are looked for.
        encoded: float32 [n, width], the features a wallet computes.
        updates: quantised updates (int64 [d]) by wallet number.
    """
    found: list[Needle] = []
    for wallet in facts:
        number = wallet.number
        found.append(Needle(fact=Fact.PERSONAL_DATA, owner=number, form=wallet.canary.encode()))
        found += _windows(Fact.PERSONAL_DATA, number, np.asarray(encoded[number], dtype="<f4"), window)
        found.append(Needle(fact=Fact.EMAIL, owner=number, form=wallet.email.encode()))
        if wallet.subscription_key:
            found += _key_forms(Fact.PSEUDONYM, number, bytes.fromhex(wallet.subscription_key))
        if wallet.payout_address:
            found += _key_forms(
                Fact.PAYOUT_ADDRESS, number, bytes.fromhex(wallet.payout_address.removeprefix("0x"))
            )
        for update in updates.get(number, ()):
            found += _windows(Fact.UNMASKED_UPDATE, number, np.asarray(update).astype("<i4"), window)
            found += _windows(Fact.UNMASKED_UPDATE, number, np.asarray(update).astype("<i8"), window)
    return found


def _windows(fact: Fact, owner: int, values: Any, window: int) -> list[Needle]:
    """The first stretch of `window` bytes that says something: one-hot zeros and ones would be found by chance."""
    raw, size = values.tobytes(), values.dtype.itemsize
    for start in range(0, len(raw) - window + 1, size):
        part = raw[start : start + window]
        if len(set(struct.unpack(f"{window // 4}I", part))) >= 3 and not {0.0, 1.0, -1.0} >= set(
            np.frombuffer(part, values.dtype).tolist()
        ):
            return [Needle(fact=fact, owner=owner, form=part)]
    return []


def _key_forms(fact: Fact, owner: int, key: bytes) -> list[Needle]:
    forms = (key, key.hex().encode(), key.hex().upper().encode(), base64.b64encode(key).rstrip(b"=")[:-1])
    return [Needle(fact=fact, owner=owner, form=form) for form in forms]


def places(folder: Path) -> Iterator[Place]:
    """Everything a demo left behind, by trust domain."""
    yield from _databases(folder)
    yield from folder_places("aggregator", folder / "spool")
    yield from database_places("chain", folder / "chain" / "chain.sqlite3")
    yield from folder_places("broker", Path(os.environ.get("CSSI_REDIS_FOLDER", folder / "broker")))
    yield from folder_places("logs", folder / "logs")
    yield from folder_places("mail", folder / "mail")
    yield from folder_places("wallet", folder / "wallets")


def _databases(folder: Path) -> Iterator[Place]:
    domains = {"market": "default", "distributor": "distributor", "aggregator": "aggregator"}
    if connections["default"].vendor == "sqlite":
        for domain in domains:
            yield from database_places(domain, folder / f"{domain}.sqlite3")
        return
    flush()
    for domain, alias in domains.items():
        yield from postgres_places(domain, alias)
    yield from log_places()


class SpyBook:
    """What the hosts' spies saw: each wallet's quantised update per round, and how far it came."""

    def __init__(self, hosts: Hosts, folder: Path) -> None:
        self.rounds: dict[int, list[tuple[int, list[str], Any]]] = {}
        for index, host in enumerate(hosts.everyone):
            path = folder / f"spy-{index}.json"
            host.call("spy", path=str(path))
            for entry in json.loads(path.read_text(encoding="utf-8")):
                for name, seen in entry["wallets"].items():
                    vector = np.frombuffer(base64.b64decode(seen["vector"]), dtype="<i8")
                    number = hosts.number_of(host, name)
                    self.rounds.setdefault(entry["round"], []).append((number, seen["steps"], vector))
            path.unlink()

    def updates(self) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {}
        for seen in self.rounds.values():
            for number, _, vector in seen:
                found.setdefault(number, []).append(vector)
        return found

    def matching_rounds(self, job: Job) -> tuple[int, int]:
        """(rounds whose released mean is exactly the plain sum over the wallets that sent a masked input, rounds released)."""
        plan = JobPlan.from_json(job.plan)
        checkpoints = list(Checkpoint.objects.filter(job=job, number__gt=0))
        exact = 0
        for checkpoint in checkpoints:
            sent = [v for _, steps, v in self.rounds.get(checkpoint.number, []) if "masked_input" in steps]
            if len(sent) != checkpoint.wallets:
                continue
            mean = np.sum(sent, axis=0).astype(np.float64) / (
                float(1 << plan.fraction_bits) * checkpoint.wallets
            )
            exact += hashlib.sha256(mean.astype("<f8").tobytes()).hexdigest() == checkpoint.aggregate_hash
        return exact, len(checkpoints)


@dataclass(frozen=True, kw_only=True)
class OwnBooks:
    """What a wallet's own journal says. `unconfirmed`: proofs that were on their way when the wallet left; it cannot know more."""

    visits: int
    unconfirmed: int


def own_books(hosts: Hosts, wallets: int) -> list[OwnBooks]:
    """Every wallet's journal, by wallet number."""

    def one(number: int) -> OwnBooks:
        entries = hosts.call(number, "visits", kinds=["visit", "outcome"])["entries"]
        return OwnBooks(
            visits=sum(entry["kind"] == "visit" for entry in entries),
            unconfirmed=sum(entry["code"] == "unconfirmed" for entry in entries),
        )

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, range(wallets)))


def tab_facts(hosts: Hosts, browser: str, picture: bytes) -> TabFacts:
    """What the wallets in tabs write about themselves."""
    kinds = ["accepted", "visit"]
    books = [hosts.call(number, "visits", kinds=kinds)["entries"] for number in hosts.in_tabs()]
    visits = [[entry for entry in book if entry["kind"] == "visit"] for book in books]
    return TabFacts(
        browser=browser,
        rounds=[[int(entry["round"]) for entry in book] for book in visits],
        invited=sum(entry["kind"] == "accepted" for book in books for entry in book),
        earned=sum(int(entry["amount"]) for book in visits for entry in book),
        picture=picture,
    )


def paid_by_address() -> Counter[str]:
    """Confirmed payouts, base units, by address without 0x."""
    paid: Counter[str] = Counter()
    confirmed = Payout.objects.filter(transaction__state=ChainTransaction.State.CONFIRMED)
    for address, value in confirmed.values_list("address", "amount"):
        paid[address.removeprefix("0x").lower()] += value
    return paid
