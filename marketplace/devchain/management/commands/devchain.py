from __future__ import annotations

from pathlib import Path
from typing import Any

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from marketplace.devchain.evm import DevEvm
from marketplace.devchain.rpc import Rpc
from marketplace.devchain.server import RpcApp
from marketplace.settlement.keys import development_addresses


class Command(BaseCommand):
    help = "Run the embedded development chain: JSON-RPC on loopback, state kept in a folder."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8545)
        parser.add_argument("--data", type=Path, required=True, help="folder that keeps the chain")

    def handle(self, *args: Any, port: int, data: Path, **options: Any) -> None:
        evm = DevEvm(data / "chain.sqlite3", chain_id=settings.CHAIN_ID, funded=development_addresses())
        uvicorn.run(RpcApp(Rpc(evm)), host="127.0.0.1", port=port, access_log=False, log_level="warning")
