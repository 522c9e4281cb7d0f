"""A real development chain for the money tests, and an aggregator that answers with signed statements of its own making."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from django.core.management import call_command

from aggregation.epochs import Credit, Earned, JobTotal, Rules, Statement, close_epoch, split
from aggregation.wire.secret import Secret
from collectives.models import Collective
from collectives.terms.envelope import SignedDocument
from marketplace.accounts.models import Account
from marketplace.devchain.evm import DevEvm
from marketplace.devchain.rpc import Rpc
from marketplace.devchain.server import RpcApp
from marketplace.keys import read_key
from marketplace.settlement import clients, services
from marketplace.settlement.keys import development_addresses
from marketplace.settlement.models import Escrow
from tests.apps.cast import account, register
from tests.apps.settlement import laid
from tests.apps.settlement.anvil import AnvilProcess

TOKEN = 10**18
RATE = 5 * 10**15


class Switched(RpcApp):
    """The chain's server, for one chain after the other."""

    def use(self, rpc: Rpc) -> None:
        self._rpc = rpc


class ChainProcess:
    """The chain's server in a thread. One serves all tests of a process; tests can stop and start it, and exchange its chain."""

    laid: tuple[str, ...] | None
    mark: tuple[int, ...]

    def __init__(self, path: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.path = path
        self._serving = False
        self.start()

    def start(self) -> None:
        self._open()
        self._app = Switched(Rpc(self.evm))
        config = uvicorn.Config(
            self._app, host="127.0.0.1", port=self.port, log_level="error", log_config=None
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        self._serving = True

    def _open(self) -> None:
        self.evm = DevEvm(self.path, chain_id=1337, funded=development_addresses())

    def begin(self, path: Path) -> None:
        """An empty chain in another file."""
        if not self._serving:
            self.path = path
            self.start()
            return
        with self._closed():
            self.path = path

    @contextmanager
    def _closed(self) -> Iterator[None]:
        """The file is nobody's for a moment; requests come before or after it, as the tests make them."""
        self.evm.store.close()
        yield
        self._open()
        self._app.use(Rpc(self.evm))

    def mine(self) -> None:
        """A block without transactions, by the endpoint's own method."""
        request = {"jsonrpc": "2.0", "id": 1, "method": "evm_mine", "params": []}
        assert "result" in httpx.post(f"http://127.0.0.1:{self.port}", json=request, trust_env=False).json()

    def keep(self, file: Path) -> None:
        """Write the chain as it is now to a file, for `replace`."""
        with self._closed():
            shutil.copy(self.path, file)

    def remember(self) -> None:
        """Keep the chain as it is now, for `forget`."""
        self.keep(self.path.with_suffix(".kept"))

    def forget(self) -> int:
        """Replace the chain by the one that was kept: a reorganisation; how many blocks it undid."""
        head = self.evm.number
        self.replace(self.path.with_suffix(".kept"))
        return head - self.evm.number

    def replace(self, other: Path) -> None:
        """Go on with another chain's file."""
        with self._closed():
            for part in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + part).unlink(missing_ok=True)
            shutil.copy(other, self.path)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self.evm.store.close()
        self._serving = False


_SERVER: list[ChainProcess] = []


@pytest.fixture
def devchain(tmp_path: Path, settings: Any, transactional_db: None) -> Iterator[ChainProcess]:
    """The embedded development chain; with CSSI_TEST_CHAIN=anvil Foundry's."""
    process: Any
    if os.environ.get("CSSI_TEST_CHAIN") == "anvil":
        process = AnvilProcess(tmp_path / "chain.json")
    elif _SERVER:
        process = _SERVER[0]
        process.begin(tmp_path / "chain.sqlite3")
    else:
        process = ChainProcess(tmp_path / "chain.sqlite3")
        _SERVER.append(process)
    settings.CHAIN_RPC_URL = f"http://127.0.0.1:{process.port}"
    laid.begin(process)
    yield process
    if process not in _SERVER:
        process.stop()


Lay = Callable[..., None]


@pytest.fixture
def lay(devchain: ChainProcess, tmp_path_factory: pytest.TempPathFactory) -> Lay:
    """`lay(name, make)`: what `make` does, or what it did when an earlier test began like this one."""

    def one(name: str, make: Callable[[], Any], memory: Any = None) -> None:
        laid.lay(devchain, name, make, _folder(tmp_path_factory), memory)

    return one


_FOLDER: list[Path] = []


def _folder(factory: pytest.TempPathFactory) -> Path:
    if not _FOLDER:
        _FOLDER.append(factory.mktemp("laid"))
    return _FOLDER[0]


@pytest.fixture
def deployed(devchain: ChainProcess, lay: Lay) -> ChainProcess:
    """Every contract is on the chain."""
    lay("contracts", lambda: call_command("deploy_contracts", verbosity=0))
    return devchain


def settle(passes: int = 60) -> None:
    """Sweep until nothing moves."""
    for _ in range(passes):
        if not services.sweep():
            return
    raise AssertionError("the outbox does not come to rest")


@pytest.fixture
def consumer(deployed: ChainProcess, lay: Lay) -> Account:
    """Somebody with 100 tokens."""

    def make() -> None:
        services.faucet(Account.objects.create_user("carla@demo.example", "x"), 100 * TOKEN)
        settle()

    lay("consumer", make)
    return Account.objects.get(email="carla@demo.example")


@pytest.fixture
def collective(deployed: ChainProcess, lay: Lay) -> Collective:
    """Alice's; the next sweep publishes it as an asset, free."""
    lay("collective", lambda: register(account("alice")))
    return Collective.objects.get()


class Ledger:
    """A visit ledger that closes epochs with the project's own arithmetic and signs them with the aggregator's key."""

    def __init__(self, key: Secret) -> None:
        self._key = key
        self.visits: list[Earned] = []
        self.sequence: dict[str, int] = {}
        self.carried: dict[bytes, int] = {}
        self.statements: dict[int, Statement] = {}
        self.stated: list[Earned] = []
        self.kept: dict[str, dict[int, Counter[bytes]]] = {}
        self.seals: dict[int, str] = {}

    def visit(self, job_id: uuid.UUID, wallets: range, times: int = 1) -> None:
        self.visits += [
            Earned(
                address=n.to_bytes(20, "big"), job_id=str(job_id), collective_id="c", visits=times, rate=RATE
            )
            for n in wallets
        ]

    def parts(self, sale: dict[str, Any]) -> list[Credit]:
        """A sale's parts by the visits kept; refuses keys other than those it was told to keep them under."""
        weights: Counter[bytes] = Counter()
        for epoch, counts in self.kept[sale["job_id"]].items():
            assert sale["keys"][str(epoch)] == self.seals[epoch]
            weights.update(counts)
        names = {address.hex(): count for address, count in weights.items()}
        return [
            Credit(address=bytes.fromhex(name), collective_id="c", amount=amount)
            for name, amount in split(int(sale["amount"]), names).items()
        ]

    def settled(self, number: int, body: dict[str, Any]) -> None:
        self.seals[number] = body["seal"]
        for job in body["keep"]:
            mine = Counter({v.address: v.visits for v in self.stated if v.job_id == job})
            self.kept.setdefault(job, {}).setdefault(number, mine)
        self.stated = []

    def close(self, number: int, lot: int = 0, sales: list[dict[str, Any]] | None = None) -> Statement:
        if number in self.statements:
            return self.statements[number]
        jobs = []
        for job in sorted({v.job_id for v in self.visits}):
            self.sequence[job] = self.sequence.get(job, 0) + 1
            count = sum(v.visits for v in self.visits if v.job_id == job)
            jobs.append(
                JobTotal(
                    job_id=job, sequence=self.sequence[job], visits=count, rate=RATE, receipts_root=bytes(32)
                )
            )
        made = close_epoch(
            epoch=number,
            earned=self.visits,
            jobs=jobs,
            carried=self.carried,
            rules=Rules(lot=lot, min_recipients=1, min_collectives=1),
            parts=[part for sale in sales or [] for part in self.parts(sale)],
        )
        made = replace(made, sales=tuple(sorted(sale["sale_id"] for sale in sales or [])))
        self.stated += self.visits
        self.visits = []
        self.carried = dict(made.balances)
        self.statements[number] = made
        return made

    def answer(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        if path == "/totals":
            stated = sum(s.earned for s in self.statements.values())
            last = self.statements[max(self.statements)] if self.statements else None
            return {
                "earned": str(stated + sum(v.visits * v.rate for v in self.visits)),
                "stated": str(stated),
                "carried": str(last.carried if last else 0),
                "held_over": str(last.held_over if last else 0),
            }
        if path == "/epochs":
            assert body is not None
            document = self.close(body["epoch"], int(body["lot"]), body["sales"]).to_document()
            return SignedDocument.sign("epoch", document, self._key).to_json()
        if path.endswith("/settled"):
            assert body is not None
            self.settled(int(path.split("/")[2]), body)
        if path.endswith("/shares"):
            kept = self.kept.get(path.split("/")[2], {})
            return {"epochs": sorted(kept), "visits": sum(counts.total() for counts in kept.values())}
        return {}


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch, settings: Any) -> Ledger:
    found = Ledger(Secret(read_key(settings.AGGREGATOR_KEY_FILE)))
    monkeypatch.setattr(clients, "call", found.answer)
    return found


OpenJob = Callable[..., uuid.UUID]


@pytest.fixture
def open_job(consumer: Account, lay: Lay) -> OpenJob:
    """`open_job(budget)`: a job whose escrow is open."""

    def make(budget: int = TOKEN) -> uuid.UUID:
        def opened() -> None:
            expires = int(time.time()) + 86_400
            services.open_escrow(
                job_id=uuid.uuid4(), consumer_account=consumer, rate=RATE, budget=budget, expires=expires
            )
            settle()

        before = set(Escrow.objects.values_list("job_id", flat=True))
        lay(f"job-{budget}", opened)
        return Escrow.objects.exclude(job_id__in=before).get().job_id

    return make
