"""The JSON-RPC methods that Ethereum clients need, answered by the development EVM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eth.exceptions import BlockNotFound, HeaderNotFound
from eth_utils import decode_hex, encode_hex, to_canonical_address, to_checksum_address

from marketplace.devchain.evm import DevEvm, Rejected, Reverted

NO_METHOD, BAD_PARAMS, REFUSED, REVERTED = -32601, -32602, -32000, 3


class RpcError(Exception):
    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code, self.data = code, data


class Rpc:
    """Dispatches one request object to the EVM."""

    def __init__(self, evm: DevEvm) -> None:
        self._evm = evm

    def answer(self, request: Any) -> dict[str, Any]:
        """The response object of one request object; never raises on what a client sent."""
        ident = request.get("id") if isinstance(request, dict) else None
        try:
            method = _METHODS.get(request["method"])
            if method is None:
                raise RpcError(NO_METHOD, f"the method {request['method']} does not exist")
            return {"jsonrpc": "2.0", "id": ident, "result": method(self, *request.get("params", []))}
        except RpcError as error:
            problem: dict[str, Any] = {"code": error.code, "message": str(error)}
        except Reverted as error:
            problem = {
                "code": REVERTED,
                "message": _revert_message(error.data),
                "data": encode_hex(error.data),
            }
        except Rejected as error:
            problem = {"code": REFUSED, "message": str(error)}
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            problem = {"code": BAD_PARAMS, "message": f"invalid params: {type(error).__name__}"}
        return {"jsonrpc": "2.0", "id": ident, "error": problem}

    def chain_id(self) -> str:
        return hex(self._evm.chain_id)

    def net_version(self) -> str:
        return str(self._evm.chain_id)

    def client_version(self) -> str:
        return "compute-to-ssi-devchain/1"

    def accounts(self) -> list[str]:
        return []

    def block_number(self) -> str:
        return hex(self._evm.number)

    def gas_price(self) -> str:
        return hex(self._evm.base_fee() + 10**9)

    def priority_fee(self) -> str:
        return hex(10**9)

    def fee_history(self, count: Any, newest: Any, percentiles: Any = ()) -> dict[str, Any]:
        last = self._number(newest)
        wanted = int(count, 16) if isinstance(count, str) else int(count)
        numbers = range(max(0, last - wanted + 1), last + 1)
        headers = [self._evm.header(n) for n in numbers]
        return {
            "oldestBlock": hex(numbers.start),
            "baseFeePerGas": [*(hex(h.base_fee_per_gas) for h in headers), hex(self._evm.base_fee())],
            "gasUsedRatio": [h.gas_used / h.gas_limit for h in headers],
            "reward": [[hex(10**9) for _ in percentiles or ()] for _ in headers],
        }

    def balance(self, address: str, block: Any = "latest") -> str:
        return hex(self._evm.state(self._number(block)).get_balance(to_canonical_address(address)))

    def code(self, address: str, block: Any = "latest") -> str:
        return encode_hex(self._evm.state(self._number(block)).get_code(to_canonical_address(address)))

    def transaction_count(self, address: str, block: Any = "latest") -> str:
        return hex(self._evm.state(self._number(block)).get_nonce(to_canonical_address(address)))

    def storage_at(self, address: str, slot: str, block: Any = "latest") -> str:
        state = self._evm.state(self._number(block))
        return (
            "0x" + state.get_storage(to_canonical_address(address), int(slot, 16)).to_bytes(32, "big").hex()
        )

    def call(self, transaction: dict[str, Any], block: Any = "latest") -> str:
        return encode_hex(self._evm.call(_plain(transaction), self._number(block))[0])

    def estimate_gas(self, transaction: dict[str, Any], block: Any = "latest") -> str:
        # A tenth more than one run used: refunds and the 63/64 rule make the exact figure too small.
        used = self._evm.call(_plain(transaction), self._number(block))[1]
        return hex(used + used // 10 + 10_000)

    def send_raw(self, raw: str) -> str:
        return self._evm.send(decode_hex(raw))

    def mine(self) -> str:
        """The same method that other development nodes have."""
        self._evm.mine()
        return "0x0"

    def receipt(self, digest: str) -> dict[str, Any] | None:
        found = self._evm.store.transaction(digest)
        return found[1] if found else None

    def transaction(self, digest: str) -> dict[str, Any] | None:
        found = self._evm.store.transaction(digest)
        return found[0] if found else None

    def block_by_number(self, block: Any, full: bool = False) -> dict[str, Any] | None:
        try:
            return self._block(self._evm.header(self._number(block)), full)
        except (HeaderNotFound, BlockNotFound):
            return None

    def block_by_hash(self, digest: str, full: bool = False) -> dict[str, Any] | None:
        try:
            return self._block(self._evm.header_by_hash(decode_hex(digest)), full)
        except (HeaderNotFound, BlockNotFound):
            return None

    def logs(self, query: dict[str, Any]) -> list[dict[str, Any]]:
        if "blockHash" in query:
            first = last = int(self._evm.header_by_hash(decode_hex(query["blockHash"])).block_number)
        else:
            first, last = (
                self._number(query.get("fromBlock", "latest")),
                self._number(query.get("toBlock", "latest")),
            )
        address = query.get("address") or []
        topics = [[t] if isinstance(t, str) else t for t in query.get("topics") or []]
        return self._evm.store.logs(
            first, last, [address] if isinstance(address, str) else list(address), topics
        )

    def _number(self, block: Any) -> int:
        if isinstance(block, dict):
            block = block.get("blockNumber", "latest")
        if block in ("latest", "pending", "safe", "finalized", None):
            return self._evm.number
        if block == "earliest":
            return 0
        return int(block, 16) if isinstance(block, str) else int(block)

    def _block(self, header: Any, full: bool) -> dict[str, Any]:
        hashes = self._evm.store.block_hashes(header.block_number)
        transactions: list[Any] = [self.transaction(h) for h in hashes] if full else list(hashes)
        return {
            "number": hex(header.block_number),
            "hash": encode_hex(header.hash),
            "parentHash": encode_hex(header.parent_hash),
            "nonce": encode_hex(header.nonce),
            "mixHash": encode_hex(header.mix_hash),
            "sha3Uncles": encode_hex(header.uncles_hash),
            "logsBloom": "0x" + header.bloom.to_bytes(256, "big").hex(),
            "transactionsRoot": encode_hex(header.transaction_root),
            "stateRoot": encode_hex(header.state_root),
            "receiptsRoot": encode_hex(header.receipt_root),
            "miner": to_checksum_address(header.coinbase),
            "difficulty": hex(header.difficulty),
            "extraData": encode_hex(header.extra_data),
            "size": "0x0",
            "gasLimit": hex(header.gas_limit),
            "gasUsed": hex(header.gas_used),
            "timestamp": hex(header.timestamp),
            "baseFeePerGas": hex(header.base_fee_per_gas),
            "transactions": transactions,
            "uncles": [],
        }


def _plain(transaction: dict[str, Any]) -> dict[str, Any]:
    """A JSON-RPC call object as bytes and integers."""
    data = transaction.get("input") or transaction.get("data") or "0x"
    sender = transaction.get("from") or "0x" + "00" * 20
    return {
        "from": to_canonical_address(sender),
        "to": to_canonical_address(transaction["to"]) if transaction.get("to") else None,
        "data": decode_hex(data),
        "value": int(transaction.get("value", "0x0"), 16),
        "gas": int(transaction["gas"], 16) if transaction.get("gas") else None,
    }


def _revert_message(data: bytes) -> str:
    if data[:4] == bytes.fromhex("08c379a0") and len(data) >= 68:
        size = int.from_bytes(data[36:68], "big")
        return "execution reverted: " + data[68 : 68 + size].decode("utf-8", "replace")
    return "execution reverted"


_METHODS: dict[str, Callable[..., Any]] = {
    "eth_chainId": Rpc.chain_id,
    "net_version": Rpc.net_version,
    "web3_clientVersion": Rpc.client_version,
    "eth_accounts": Rpc.accounts,
    "eth_blockNumber": Rpc.block_number,
    "eth_gasPrice": Rpc.gas_price,
    "eth_maxPriorityFeePerGas": Rpc.priority_fee,
    "eth_feeHistory": Rpc.fee_history,
    "eth_getBalance": Rpc.balance,
    "eth_getCode": Rpc.code,
    "eth_getTransactionCount": Rpc.transaction_count,
    "eth_getStorageAt": Rpc.storage_at,
    "eth_call": Rpc.call,
    "eth_estimateGas": Rpc.estimate_gas,
    "eth_sendRawTransaction": Rpc.send_raw,
    "evm_mine": Rpc.mine,
    "eth_getTransactionReceipt": Rpc.receipt,
    "eth_getTransactionByHash": Rpc.transaction,
    "eth_getBlockByNumber": Rpc.block_by_number,
    "eth_getBlockByHash": Rpc.block_by_hash,
    "eth_getLogs": Rpc.logs,
}
