"""The chain, as typed functions over JSON-RPC. The only module of the project that imports web3.

Reads and broadcasts only: what to send, with which nonce, is decided in `outbox`. Every call first makes sure that the endpoint
serves the pinned chain.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from django.conf import settings
from web3 import HTTPProvider, Web3
from web3.contract import Contract
from web3.exceptions import (
    BadFunctionCallOutput,
    ContractLogicError,
    TransactionNotFound,
    Web3Exception,
    Web3RPCError,
)
from web3.logs import DISCARD

from marketplace.settlement import conf, reverts
from marketplace.settlement.errors import ChainRefused, ChainUnavailable, FeesTooHigh, NotThere, WrongChain

__all__ = ["Chain", "NotThere", "Receipt", "artifact", "chain", "encode_call"]

ARTIFACTS = Path(__file__).parent / "contracts" / "artifacts"
OCEAN = "ocean-contracts"
"""The package with Ocean's own contracts: their ABI, bytecode and where they are on public chains. Only its files are read."""
MOST_GAS = 16_777_216
"""EIP-7825: the most a transaction may use."""
MOST_RECIPIENTS = 500


@dataclass(frozen=True, kw_only=True)
class Receipt:
    block_number: int
    block_hash: str
    ok: bool
    gas_used: int
    contract: str | None
    logs: tuple[Any, ...] = ()


def artifact(name: str) -> dict[str, Any]:
    """`abi` and `bytecode` of a contract: a checked-in one of ours, or one of Ocean's from its installed package."""
    ours = ARTIFACTS / f"{name}.json"
    text = ours.read_text(encoding="utf-8") if ours.exists() else _ocean_file(f"artifacts/{name}.json")
    found: dict[str, Any] = json.loads(text)
    return found


def ocean_addresses(chain_id: int) -> dict[str, Any] | None:
    """Ocean's own contracts on a public chain, by the names of its address book; None where it has none."""
    book: dict[str, dict[str, Any]] = json.loads(_ocean_file("addresses/address.json"))
    return next((found for found in book.values() if found.get("chainId") == chain_id), None)


def _ocean_file(path: str) -> str:
    # By distribution, not by import: its packages are called `artifacts` and `addresses`, which anybody's may be.
    return Path(str(metadata.distribution(OCEAN).locate_file(path))).read_text(encoding="utf-8")


@lru_cache(maxsize=32)
def _unbound(name: str) -> Any:
    """A contract's class without an address. Making one goes through its whole ABI, so it is made once."""
    found = artifact(name)
    return Web3().eth.contract(abi=found["abi"], bytecode=found["bytecode"])


class Chain:
    """One endpoint of the pinned chain."""

    def __init__(self, url: str, chain_id: int) -> None:
        self._web3 = Web3(HTTPProvider(url, session=_session(url), request_kwargs={"timeout": 15}))
        self._chain_id = chain_id
        self._checked = False
        self._bound = lru_cache(maxsize=256)(self._bind)

    def contract(self, name: str, address: str) -> Contract:
        return self._bound(name, Web3.to_checksum_address(address))

    def _bind(self, name: str, address: str) -> Contract:
        return self._web3.eth.contract(address=address, abi=_unbound(name).abi)

    def head(self) -> int:
        return int(self._ask(lambda: self._web3.eth.block_number))

    def block_hash(self, number: int) -> str:
        return str(self._ask(lambda: self._web3.eth.get_block(number)["hash"].to_0x_hex()))

    def nonce(self, address: str) -> int:
        """The next nonce the chain expects from an address."""
        return int(self._ask(lambda: self._web3.eth.get_transaction_count(Web3.to_checksum_address(address))))

    def native_balance(self, address: str) -> int:
        return int(self._ask(lambda: self._web3.eth.get_balance(Web3.to_checksum_address(address))))

    def fees(self) -> tuple[int, int]:
        """(max fee per gas, priority fee) for a transaction that should be mined soon, wei.

        Raises:
            FeesTooHigh: the chain asks for more than this site pays; nothing is signed until it asks for less.
        """
        base = int(self._ask(lambda: self._web3.eth.get_block("latest")["baseFeePerGas"]))
        tip = int(self._ask(lambda: self._web3.eth.max_priority_fee))
        ceiling = conf.get("CHAIN_MAX_FEE")
        if ceiling and base + tip > ceiling:
            raise FeesTooHigh(
                f"The chain asks {base + tip} wei per gas now and CHAIN_MAX_FEE is {ceiling}; nothing is sent until it "
                "asks for less."
            )
        fee = 2 * base + tip
        return min(fee, ceiling) if ceiling else fee, tip

    def send(self, raw: bytes) -> None:
        """Broadcast signed bytes.

        Raises:
            ChainRefused: with `known` when the chain has it, or something else with its nonce, already.
        """
        try:
            self._ask(lambda: self._web3.eth.send_raw_transaction(raw))
        except Web3RPCError as error:
            text = str(error).lower()
            known = any(
                word in text
                for word in ("already known", "nonce too low", "already imported", "known transaction")
            )
            if "nonce too high" in text:
                raise ChainUnavailable("an earlier nonce is still on its way") from error
            raise ChainRefused(
                str(error.message if hasattr(error, "message") else error), known=known
            ) from error

    def receipt(self, digest: str) -> Receipt | None:
        try:
            found = self._ask(lambda: self._web3.eth.get_transaction_receipt(digest))  # type: ignore[arg-type]
        except TransactionNotFound:
            return None
        return Receipt(
            block_number=int(found["blockNumber"]),
            block_hash=found["blockHash"].to_0x_hex(),
            ok=found["status"] == 1,
            gas_used=int(found["gasUsed"]),
            contract=found.get("contractAddress"),
            logs=tuple(found["logs"]),
        )

    def read(self, name: str, address: str, function: str, *arguments: Any, block: int | None = None) -> Any:
        """A view function's answer after a block, the latest by default.

        Raises:
            NotThere: the contract at that address has no such function, or refuses the question.
        """
        bound = self.contract(name, address)
        at: Any = "latest" if block is None else block
        try:
            return self._ask(lambda: getattr(bound.functions, function)(*arguments).call(block_identifier=at))
        except (BadFunctionCallOutput, ContractLogicError) as error:
            raise NotThere(f"{name}.{function} has no answer") from error

    def why(self, sender: str, to: str, data: bytes, value: int, block: int) -> str:
        """Why a transaction that was mined in this block reverted, in words; empty when the endpoint cannot say."""
        asked: Any = {"from": sender, "to": to, "data": data, "value": value}
        try:
            self._ask(lambda: self._web3.eth.call(asked, block))
        except ContractLogicError as error:
            text = str(error.data or "")
            return reverts.words(bytes.fromhex(text[2:])) if text.startswith("0x") else ""
        except (ChainUnavailable, Web3Exception, ValueError):
            return ""
        return ""

    def events(
        self, name: str, address: str, event: str, first: int = 0, last: int | None = None
    ) -> list[dict[str, Any]]:
        """All events of one kind between two blocks (to the latest by default), oldest first, as their arguments."""
        bound = self.contract(name, address)
        to: Any = "latest" if last is None else last
        found = self._ask(lambda: getattr(bound.events, event)().get_logs(from_block=first, to_block=to))
        return [dict(entry["args"]) | {"block": int(entry["blockNumber"])} for entry in found]

    def _ask(self, question: Any) -> Any:
        try:
            if not self._checked:
                found = self._web3.eth.chain_id
                if found != self._chain_id:
                    raise WrongChain(
                        f"The endpoint serves chain {found}, but CHAIN_ID says {self._chain_id}."
                    )
                self._checked = True
            return question()
        except (TransactionNotFound, ContractLogicError, BadFunctionCallOutput, Web3RPCError):
            raise
        except (requests.RequestException, Web3Exception, ValueError, OSError) as error:
            raise ChainUnavailable(f"{type(error).__name__}: the chain did not answer") from error


def _session(url: str) -> requests.Session:
    """Connections to an endpoint. One on this machine is never behind a proxy, so the environment is not read for each call."""
    made = requests.Session()
    made.trust_env = urlsplit(url).hostname not in ("127.0.0.1", "::1", "localhost")
    return made


@lru_cache(maxsize=2)
def _chain(url: str, chain_id: int) -> Chain:
    return Chain(url, chain_id)


def chain() -> Chain:
    """The configured endpoint."""
    return _chain(settings.CHAIN_RPC_URL, settings.CHAIN_ID)


def second_opinion() -> Chain | None:
    """Another endpoint of the same chain that must agree before anything counts as confirmed, if there is one."""
    url = conf.get("CHAIN_CONFIRM_RPC_URL")
    return _chain(url, settings.CHAIN_ID) if url else None


def decode_logs(name: str, logs: Iterable[Any], event: str) -> list[dict[str, Any]]:
    """The events of one kind among a receipt's logs, as their arguments and the `address` that said it."""
    found = getattr(_unbound(name).events, event)().process_receipt({"logs": list(logs)}, errors=DISCARD)
    return [dict(entry["args"]) | {"address": str(entry["address"])} for entry in found]


def encode_call(name: str, function: str, arguments: list[Any]) -> bytes:
    """Call data of a contract function."""
    return bytes.fromhex(_unbound(name).encode_abi(function, args=arguments)[2:])


def encode_deployment(name: str, arguments: list[Any]) -> bytes:
    """Creation code with constructor arguments."""
    return bytes.fromhex(_unbound(name).constructor(*arguments).data_in_transaction[2:])


def job_bytes(job_id: Any) -> bytes:
    """A UUID as the contracts' bytes32: 16 bytes, then zeros."""
    return bytes(job_id.bytes) + bytes(16)
