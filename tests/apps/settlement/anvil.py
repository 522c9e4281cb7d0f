"""Foundry's anvil in the place of the embedded development chain: the same tests, another EVM.

`CSSI_TEST_CHAIN=anvil pytest tests/apps/settlement` where `anvil` is on the PATH (npm package @foundry-rs/anvil).
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx

from marketplace.settlement.keys import development_addresses

FUNDS = hex(10**24)
SECONDS = 20


class AnvilProcess:
    """What `ChainProcess` does, by a process of its own; its state lives in `path` between a stop and a start."""

    laid: tuple[str, ...] | None
    mark: tuple[int, ...]

    def __init__(self, path: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.path = path.with_suffix(".json")
        self._began = False
        self.start()

    @property
    def evm(self) -> AnvilProcess:
        return self

    @property
    def number(self) -> int:
        return int(self.call("eth_blockNumber"), 16)

    def call(self, method: str, *arguments: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(arguments)}
        answer = httpx.post(
            f"http://127.0.0.1:{self.port}", json=request, trust_env=False, timeout=SECONDS
        ).json()
        assert "result" in answer, answer
        return answer["result"]

    def start(self) -> None:
        program = shutil.which("anvil")
        assert program, "CSSI_TEST_CHAIN=anvil needs anvil on the PATH"
        command = [program, "--port", str(self.port), "--chain-id", "1337", "--accounts", "0", "--silent"]
        command += ["--state", str(self.path), "--preserve-historical-states", "--hardfork", "prague"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        limit = time.monotonic() + SECONDS
        while True:
            try:
                self.call("eth_chainId")
                break
            except httpx.HTTPError:
                assert time.monotonic() < limit, "anvil did not start"
                time.sleep(0.05)
        if not self._began:
            for address in development_addresses():
                self.call("anvil_setBalance", "0x" + address.hex(), FUNDS)
            self._began = True

    def stop(self) -> None:
        """Ends it in order, so that it writes its state down."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(SECONDS)

    def mine(self) -> None:
        self.call("evm_mine")

    def keep(self, file: Path) -> None:
        self.stop()
        shutil.copy(self.path, file)
        self.start()

    def remember(self) -> None:
        self.keep(self.path.with_suffix(".kept"))

    def forget(self) -> int:
        head = self.number
        self.replace(self.path.with_suffix(".kept"))
        return head - self.number

    def replace(self, other: Path) -> None:
        self.stop()
        shutil.copy(other, self.path)
        self.start()
