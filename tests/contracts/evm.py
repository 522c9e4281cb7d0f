"""Our contracts on an EVM inside the test process: calls, reverts and events by name, gas as a chain would count it.

The state lives in memory and is never mined into blocks, which is what makes a hundred thousand calls affordable. Each call is
a transaction of its own: cold access costs, refunds and the floor of call data (EIP-7623) are those of the Prague rules.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from eth.chains.base import MiningChain
from eth.constants import (
    BLANK_ROOT_HASH,
    POST_MERGE_DIFFICULTY,
    POST_MERGE_MIX_HASH,
    POST_MERGE_NONCE,
    ZERO_ADDRESS,
)
from eth.db.atomic import AtomicDB
from eth.db.backends.memory import MemoryDB
from eth.vm.forks import PragueVM
from eth.vm.spoof import SpoofTransaction
from eth_abi import decode, encode
from eth_utils import keccak

ARTIFACTS = Path(__file__).parents[2] / "marketplace" / "settlement" / "contracts" / "artifacts"
NOW = 1_800_000_000
GAS = 16_777_216
CHAIN_ID = 1337
Address = bytes


def who(number: int) -> Address:
    """A made-up address; ascending with the number."""
    return (0xA0 << 152 | number).to_bytes(20, "big")


class Reverted(Exception):
    """`name` is the custom error's (or `Panic`, `Error`), `arguments` its values."""

    def __init__(self, name: str, arguments: tuple[Any, ...]) -> None:
        super().__init__(f"{name}{arguments}")
        self.name, self.arguments = name, arguments


@dataclass(frozen=True, kw_only=True)
class Event:
    contract: Address
    name: str
    values: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a successful call left behind."""

    output: Any
    events: tuple[Event, ...]
    gas: int


def _kind(entry: dict[str, Any]) -> str:
    if entry["type"].startswith("tuple"):
        return "(" + ",".join(_kind(part) for part in entry["components"]) + ")" + entry["type"][5:]
    return str(entry["type"])


def _signature(entry: dict[str, Any]) -> str:
    return f"{entry['name']}({','.join(_kind(part) for part in entry['inputs'])})"


class Interface:
    """One contract's ABI by name and by selector."""

    def __init__(self, artifact: dict[str, Any]) -> None:
        self.bytecode = bytes.fromhex(artifact["bytecode"][2:])
        of: dict[str, list[dict[str, Any]]] = {}
        for entry in artifact["abi"]:
            of.setdefault(entry["type"], []).append(entry)
        self.constructor = [_kind(part) for part in of["constructor"][0]["inputs"]]
        self.functions = {
            entry["name"]: (
                keccak(text=_signature(entry))[:4],
                [_kind(part) for part in entry["inputs"]],
                [_kind(part) for part in entry["outputs"]],
            )
            for entry in of["function"]
        }
        self.errors = {
            keccak(text=_signature(e))[:4]: (e["name"], [_kind(p) for p in e["inputs"]]) for e in of["error"]
        }
        self.events = {int.from_bytes(keccak(text=_signature(e))): e for e in of["event"]}

    def revert(self, data: bytes) -> Reverted | None:
        """The named error of revert data, if it is one of this contract's."""
        if data[:4] == keccak(text="Panic(uint256)")[:4]:
            return Reverted("Panic", decode(["uint256"], data[4:]))
        if data[:4] in self.errors:
            name, kinds = self.errors[data[:4]]
            return Reverted(name, decode(kinds, data[4:]))
        return None

    def event(self, contract: Address, topics: tuple[int, ...], data: bytes) -> Event | None:
        entry = self.events.get(topics[0])
        if entry is None:
            return None
        indexed = [part for part in entry["inputs"] if part["indexed"]]
        plain = [part for part in entry["inputs"] if not part["indexed"]]
        values = {
            part["name"]: decode([_kind(part)], topic.to_bytes(32, "big"))[0]
            for part, topic in zip(indexed, topics[1:], strict=True)
        }
        found = decode([_kind(part) for part in plain], data)
        values |= {part["name"]: value for part, value in zip(plain, found, strict=True)}
        return Event(contract=contract, name=entry["name"], values=values)


@lru_cache(maxsize=64)
def interface(path: Path) -> Interface:
    found = json.loads(path.read_text(encoding="utf-8"))
    if "abi" not in found:  # a mutant has the ABI of what it was made from
        found["abi"] = json.loads((ARTIFACTS / f"{found['contract']}.json").read_text(encoding="utf-8"))[
            "abi"
        ]
    return Interface(found)


@cache
def _genesis() -> tuple[Any, dict[bytes, bytes]]:
    """An empty chain's class and database: made once, copied for every machine."""
    chain_class: Any = MiningChain.configure(
        __name__="TestChain", vm_configuration=((0, PragueVM),), chain_id=CHAIN_ID
    )
    store = MemoryDB({})
    parameters = {
        "coinbase": ZERO_ADDRESS,
        "difficulty": POST_MERGE_DIFFICULTY,
        "extra_data": b"",
        "gas_limit": 60_000_000,
        "mix_hash": POST_MERGE_MIX_HASH,
        "nonce": POST_MERGE_NONCE,
        "receipt_root": BLANK_ROOT_HASH,
        "timestamp": NOW - 12,
        "transaction_root": BLANK_ROOT_HASH,
    }
    chain_class.from_genesis(AtomicDB(store), parameters, {})
    return chain_class, dict(store.kv_store)


class Machine:
    """One EVM state with contracts in it. `calls` counts the transactions of all machines of this process."""

    calls = 0

    def __init__(self) -> None:
        chain_class, store = _genesis()
        chain = chain_class(AtomicDB(MemoryDB(dict(store))))
        self._vm = chain.get_vm()
        self._scope = self._vm.in_costless_state()
        self.state = self._scope.__enter__()
        self.at(NOW)
        self._interfaces: dict[Address, Interface] = {}

    @property
    def now(self) -> int:
        return int(self.state.execution_context._timestamp)

    def at(self, timestamp: int) -> None:
        """Set the time of the following calls, unix seconds."""
        self.state.execution_context._timestamp = timestamp

    def deploy(self, sender: Address, path: Path, *arguments: Any) -> Contract:
        code = interface(path)
        data = code.bytecode + encode(code.constructor, arguments)
        computation, _ = self._run(sender, b"", data)
        if computation.is_error:
            raise AssertionError(f"{path.name} does not deploy: {computation.error}")
        address = bytes(computation.msg.storage_address)
        self._interfaces[address] = code
        return Contract(self, address, code)

    def send(self, sender: Address, to: Address, data: bytes) -> tuple[bytes, tuple[Event, ...], int]:
        """Raises `Reverted` by the name of the error."""
        computation, gas = self._run(sender, to, data)
        if computation.is_error:
            raise self._why(bytes(computation.output))
        events = (
            self._interfaces[bytes(address)].event(bytes(address), topics, bytes(body))
            for address, topics, body in computation.get_log_entries()
        )
        return bytes(computation.output), tuple(event for event in events if event is not None), gas

    def _why(self, data: bytes) -> Reverted:
        for code in self._interfaces.values():
            found = code.revert(data)
            if found is not None:
                return found
        return Reverted("unknown", (data,))

    def _run(self, sender: Address, to: Address, data: bytes) -> tuple[Any, int]:
        Machine.calls += 1
        unsigned = self._vm.get_transaction_builder().create_unsigned_transaction(
            nonce=self.state.get_nonce(sender), gas_price=0, gas=GAS, to=to, value=0, data=data
        )
        computation = self.state.costless_execute_transaction(SpoofTransaction(unsigned, from_=sender))
        # What a transaction wrote is the original value of the next one, and nothing stays warm.
        self.state.lock_changes()
        used = GAS - computation.get_gas_remaining()
        refunds = 0 if computation.is_error else min(computation.get_gas_refund(), used // 5)
        return computation, max(used - refunds, _floor(data))


def _floor(data: bytes) -> int:
    """The least a transaction with this call data costs (EIP-7623)."""
    return 21_000 + 10 * (data.count(0) + 4 * (len(data) - data.count(0)))


class Contract:
    """`contract.function(sender, …)` calls; `contract.ask("function", …)` reads."""

    def __init__(self, machine: Machine, address: Address, code: Interface) -> None:
        self.machine, self.address, self.code = machine, address, code

    def __getattr__(self, name: str) -> Callable[..., Done]:
        if name not in self.code.functions:
            raise AttributeError(name)

        def call(sender: Address, *arguments: Any) -> Done:
            selector, kinds, outputs = self.code.functions[name]
            output, events, gas = self.machine.send(sender, self.address, selector + encode(kinds, arguments))
            values = decode(outputs, output) if outputs else ()
            return Done(output=values[0] if len(values) == 1 else values, events=events, gas=gas)

        return call

    def ask(self, name: str, *arguments: Any) -> Any:
        return getattr(self, name)(who(0), *arguments).output
