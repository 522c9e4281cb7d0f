"""One EVM that mines a block per transaction, on a database that outlives the process."""

from __future__ import annotations

import time
from collections.abc import Sequence
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
from eth.exceptions import CanonicalHeadNotFound
from eth.vm.forks import PragueVM
from eth.vm.spoof import SpoofTransaction
from eth_utils import encode_hex, keccak, to_checksum_address, to_wei

from marketplace.devchain.store import ChainStore

GAS_LIMIT = 60_000_000
MOST_GAS_PER_TRANSACTION = 16_777_216
"""EIP-7825: what a transaction may use at most on a public chain; enforced here so that nothing larger is written."""


class Reverted(Exception):
    """A call or transaction reverted; `data` is what the contract returned."""

    def __init__(self, data: bytes) -> None:
        super().__init__("execution reverted")
        self.data = data


class Rejected(Exception):
    """A raw transaction is not acceptable; the text uses the words clients look for."""


class DevEvm:
    """The chain. Not thread-safe: its server calls it from one thread."""

    def __init__(self, path: Path, *, chain_id: int, funded: Sequence[bytes]) -> None:
        """Open or make the chain in a file; `funded` addresses get a million ether at genesis."""
        self.chain_id = chain_id
        self.store = ChainStore(path)
        chain_class: Any = MiningChain.configure(
            __name__="DevChain", vm_configuration=((0, PragueVM),), chain_id=chain_id
        )
        database = AtomicDB(self.store)
        probe = chain_class.get_chaindb_class()(database)
        try:
            probe.get_canonical_head()
            self._chain = chain_class(database)
        except CanonicalHeadNotFound:
            self._chain = self._genesis(chain_class, database, funded)

    def _genesis(self, chain_class: Any, database: Any, funded: Sequence[bytes]) -> Any:
        parameters = {
            "coinbase": ZERO_ADDRESS,
            "difficulty": POST_MERGE_DIFFICULTY,
            "extra_data": b"",
            "gas_limit": GAS_LIMIT,
            "mix_hash": POST_MERGE_MIX_HASH,
            "nonce": POST_MERGE_NONCE,
            "receipt_root": BLANK_ROOT_HASH,
            "timestamp": int(time.time()) - 1,
            "transaction_root": BLANK_ROOT_HASH,
        }
        account = {"balance": to_wei(1_000_000, "ether"), "nonce": 0, "code": b"", "storage": {}}
        self.store.begin()
        chain = chain_class.from_genesis(database, parameters, dict.fromkeys(funded, account))
        self.store.commit()
        return chain

    @property
    def number(self) -> int:
        """Number of the latest mined block."""
        return int(self._chain.chaindb.get_canonical_head().block_number)

    def header(self, number: int) -> Any:
        return self._chain.chaindb.get_canonical_block_header_by_number(number)

    def header_by_hash(self, digest: bytes) -> Any:
        return self._chain.chaindb.get_block_header_by_hash(digest)

    def state(self, number: int | None = None) -> Any:
        """Account state after a block (the latest by default)."""
        header = self._chain.chaindb.get_canonical_head() if number is None else self.header(number)
        return self._chain.get_vm(header).state

    def base_fee(self) -> int:
        return int(self._chain.chaindb.get_canonical_head().base_fee_per_gas)

    def send(self, raw: bytes) -> str:
        """Execute and mine a signed transaction; its hash.

        Raises:
            Rejected: known already, nonce too low or too high, unaffordable, over the gas limit, malformed.
        """
        digest = encode_hex(keccak(raw))
        if self.store.transaction(digest) is not None:
            raise Rejected("already known")
        tx = self._decode(raw)
        self._check_nonce(tx)
        self.store.begin()
        try:
            self._prepare_header()
            _, receipt, computation = self._chain.apply_transaction(tx)
            mined = self._chain.mine_block()
            self._index(raw, tx, receipt, computation, mined)
        except Exception:
            self.store.rollback()
            self._chain.header = self._chain.ensure_header(None)
            raise
        self.store.commit()
        return digest

    def mine(self) -> None:
        """A block without transactions: time passes, confirmations grow."""
        self.store.begin()
        try:
            self._prepare_header()
            self._chain.mine_block()
        except Exception:
            self.store.rollback()
            self._chain.header = self._chain.ensure_header(None)
            raise
        self.store.commit()

    def call(self, transaction: dict[str, Any], number: int | None = None) -> tuple[bytes, int]:
        """(returned data, gas used) of a call that changes nothing.

        Raises:
            Reverted: with the contract's data.
        """
        header = self._chain.chaindb.get_canonical_head() if number is None else self.header(number)
        vm = self._chain.get_vm(header)
        sender = transaction["from"]
        unsigned = vm.get_transaction_builder().create_unsigned_transaction(
            nonce=vm.state.get_nonce(sender),
            gas_price=0,
            gas=transaction.get("gas") or MOST_GAS_PER_TRANSACTION,
            to=transaction.get("to") or b"",
            value=transaction.get("value") or 0,
            data=transaction.get("data") or b"",
        )
        with vm.in_costless_state() as state:
            computation = state.costless_execute_transaction(SpoofTransaction(unsigned, from_=sender))
        if computation.is_error:
            raise Reverted(computation.output)
        return computation.output, int(unsigned.gas - computation.get_gas_remaining())

    def _decode(self, raw: bytes) -> Any:
        try:
            tx = self._chain.get_vm().get_transaction_builder().decode(raw)
            tx.validate()
            if not tx.is_signature_valid:
                raise ValueError
        except Exception as error:
            raise Rejected("invalid transaction") from error
        if tx.chain_id is not None and tx.chain_id != self.chain_id:
            raise Rejected(f"invalid chain id: this chain is {self.chain_id}")
        if tx.gas > MOST_GAS_PER_TRANSACTION:
            raise Rejected(f"exceeds the gas limit of a transaction, {MOST_GAS_PER_TRANSACTION}")
        return tx

    def _check_nonce(self, tx: Any) -> None:
        state = self.state()
        expected = state.get_nonce(tx.sender)
        if tx.nonce < expected:
            raise Rejected(f"nonce too low: next nonce {expected}, tx nonce {tx.nonce}")
        if tx.nonce > expected:
            raise Rejected(f"nonce too high: next nonce {expected}, tx nonce {tx.nonce}")
        fee = getattr(tx, "max_fee_per_gas", None) or tx.gas_price
        if fee < self.base_fee():
            raise Rejected("max fee per gas less than block base fee")
        if state.get_balance(tx.sender) < tx.gas * fee + tx.value:
            raise Rejected("insufficient funds for gas * price + value")

    def _prepare_header(self) -> None:
        parent = self._chain.chaindb.get_canonical_head()
        self._chain.header = self._chain.create_header_from_parent(
            parent, timestamp=max(int(time.time()), parent.timestamp + 1), gas_limit=parent.gas_limit
        )

    def _index(self, raw: bytes, tx: Any, receipt: Any, computation: Any, block: Any) -> None:
        place = {
            "blockHash": encode_hex(block.hash),
            "blockNumber": hex(block.number),
            "transactionHash": encode_hex(keccak(raw)),
            "transactionIndex": "0x0",
        }
        logs = [
            {
                "address": to_checksum_address(entry.address),
                "topics": ["0x" + topic.to_bytes(32, "big").hex() for topic in entry.topics],
                "data": encode_hex(entry.data),
                "logIndex": hex(i),
                "removed": False,
                **place,
            }
            for i, entry in enumerate(receipt.logs)
        ]
        created = to_checksum_address(computation.msg.storage_address) if computation.msg.is_create else None
        price = min(tx.max_fee_per_gas, block.header.base_fee_per_gas + tx.max_priority_fee_per_gas)
        common = {"from": to_checksum_address(tx.sender), "to": to_checksum_address(tx.to) if tx.to else None}
        self.store.add_transaction(
            {
                **common,
                **{k: v for k, v in place.items() if k != "transactionHash"},
                "hash": place["transactionHash"],
                "nonce": hex(tx.nonce),
                "gas": hex(tx.gas),
                "gasPrice": hex(price),
                "value": hex(tx.value),
                "input": encode_hex(tx.data),
                "chainId": hex(self.chain_id),
                "type": "0x2" if hasattr(tx, "type_id") and tx.type_id == 2 else "0x0",
            },
            {
                **common,
                **place,
                "status": "0x0" if computation.is_error else "0x1",
                "gasUsed": hex(block.header.gas_used),
                "cumulativeGasUsed": hex(block.header.gas_used),
                "effectiveGasPrice": hex(price),
                "contractAddress": created,
                "logs": logs,
                "logsBloom": "0x" + block.header.bloom.to_bytes(256, "big").hex(),
                "type": "0x2" if hasattr(tx, "type_id") and tx.type_id == 2 else "0x0",
            },
        )
