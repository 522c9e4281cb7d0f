"""`python -m wallets.host`: many agents in one process, driven by JSON lines (see `wallets.host.control`)."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import secrets
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from wallets.agent.consent import Rule
from wallets.agent.errors import WalletError
from wallets.agent.messages import HolderPolicy
from wallets.agent.sandbox.launcher import Launcher
from wallets.agent.sandbox.policy import Level
from wallets.host.control import Controller, know_server, observe
from wallets.host.host import Host
from wallets.host.packed import PackedLauncher
from wallets.host.spy import Spy


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until `stop`, the end of input, or a signal."""
    options = _parser().parse_args(arguments)
    os.umask(0o077)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(options))
    except WalletError as error:
        print(error.sentence, file=sys.stderr)
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        pass
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m wallets.host", description="Run many real wallet agents in one process."
    )
    parser.add_argument(
        "--directory", type=Path, required=True, help="folder for the host key and the wallets"
    )
    parser.add_argument("--server", metavar="URL", help="address of the server that new wallets pin")
    parser.add_argument("--pin", default="", help="SHA-256 the server's description must have")
    parser.add_argument(
        "--rule", choices=[rule.value for rule in Rule if rule is not Rule.ASK], default=Rule.HOST.value
    )
    parser.add_argument("--visits-per-day", type=int, default=100)
    parser.add_argument(
        "--allow-development", action="store_true", help="allow development terms with lowered minima"
    )
    parser.add_argument(
        "--slots", type=int, default=0, help="sandboxed workers at once (default: number of CPUs)"
    )
    parser.add_argument(
        "--sandbox",
        choices=[level.value for level in Level],
        default=Level.FULL.value,
        help="the lowest sandbox level at which tasks may run",
    )
    parser.add_argument(
        "--packed",
        action="store_true",
        help="for many wallets: they train together, a handful in one sandboxed worker, share standing connections, and keep their stores in one file",
    )
    parser.add_argument("--quiet", action="store_true", help="replies only: no event lines")
    parser.add_argument("--spy", action="store_true", help="TESTS ONLY: record updates before masking")
    return parser


def _look_for_garbage_seldom() -> None:
    """A host holds the objects of a thousand wallets; a collector that walks through them each second finds nothing (ADR 0031)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def _serve(options: argparse.Namespace) -> None:
    _look_for_garbage_seldom()
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, task.cancel)
    host = Host(
        options.directory,
        now=lambda: int(time.time()),
        rng=secrets.token_bytes,
        rule=Rule(options.rule),
        policy=HolderPolicy(
            allow_development=options.allow_development, visits_per_day=options.visits_per_day
        ),
        launcher=(PackedLauncher if options.packed else Launcher)(slots=options.slots or None),
        observer=None if options.quiet else observe,
        spy=Spy() if options.spy else None,
        lowest_sandbox=Level(options.sandbox),
        packed=options.packed,
    )
    try:
        if options.server:
            await know_server(host, options.server, options.pin)
        await host.start()
        await Controller(host).run()
    finally:
        await host.stop()


if __name__ == "__main__":
    sys.exit(main())
