"""`python -m wallets.agent`: the wallet on the command line.

Exit codes: 0 done; 1 a server or the wallet could not do it (the sentence says what to do); 2 what was given cannot be used,
and nothing was changed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from wallets.agent import commands
from wallets.agent import commands_credentials as issued
from wallets.agent import commands_data as data
from wallets.agent import commands_keeping as keep
from wallets.agent import commands_limits as limits
from wallets.agent import commands_notices as announced
from wallets.agent.errors import BadData, Unreachable, WalletError
from wallets.agent.messages import Choice
from wallets.agent.terminal import clean

DONE, FAILED, BAD_INPUT = 0, 1, 2
Command = Callable[[argparse.Namespace], Awaitable[int]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; never a traceback for what a person or a server did."""
    options = _parser().parse_args(arguments)
    os.umask(0o077)
    try:
        return int(asyncio.run(options.command(options)))
    except BadData as error:
        _complain(error)
        if "othing was" not in error.sentence:
            print("Nothing was changed.", file=sys.stderr)
        return BAD_INPUT
    except Unreachable as error:
        _complain(error)
        print(f"Nothing was lost. Run `{options.verb}` again when it answers.", file=sys.stderr)
        return FAILED
    except WalletError as error:
        _complain(error)
        return FAILED
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m wallets.agent",
        description="Keep your data in your own wallet, and decide who may learn from it.",
    )
    parser.add_argument(
        "--wallet", type=Path, default=Path("wallet"), metavar="DIR", help="folder of the wallet"
    )
    parser.add_argument("--passphrase-file", metavar="FILE", help="read the passphrase from this file")
    steps = parser.add_subparsers(required=True, metavar="COMMAND", dest="verb")

    _command(steps, "init", commands.init, "create a wallet")
    _own_data(steps)
    _credentials(steps)
    _memberships(steps)
    _looking(steps)
    _keeping(steps)
    _limits(steps)
    return parser


def _own_data(steps: Any) -> None:
    step = _command(steps, "import", data.import_, "import your data from a JSON or CSV file")
    step.add_argument("file", type=Path)
    _requirement_from(step)
    step.add_argument(
        "--row", type=int, default=1, help="which row of a CSV file is yours (default: the first)"
    )
    step.add_argument("--yes", action="store_true", help="replace values that are already in the wallet")
    step.add_argument("--dry-run", action="store_true", help="show what would change, and change nothing")

    step = _command(steps, "missing", data.missing, "what your data still lacks for a requirement")
    _requirement_from(step)

    step = _command(steps, "data", data.show, "name the fields of your data in the wallet")
    step.add_argument("--values", action="store_true", help="also show what they hold, on this screen")

    step = _command(steps, "forget-data", data.forget, "delete fields of your data for good")
    step.add_argument("fields", nargs="+", metavar="FIELD")

    step = _command(steps, "data-tool", data.data_tool, "make the offline page that creates a data file")
    _requirement_from(step)
    step.add_argument("--out", type=Path, default=Path("data-tool.html"), metavar="FILE")

    step = _command(steps, "check-tool", data.check_tool, "check that an offline page is the published one")
    step.add_argument("file", type=Path)

    step = _command(steps, "create-data", data.create_data, "make a data file on the command line")
    _requirement_from(step)
    step.add_argument("values", nargs="+", metavar="FIELD=VALUE", help="lists and objects as JSON")
    step.add_argument("--out", type=Path, default=Path("my-data.json"), metavar="FILE")


def _credentials(steps: Any) -> None:
    step = _command(steps, "receive", issued.receive, "receive a credential from an issuer")
    step.add_argument("link", help="the cssi://credential link your issuer gave you")
    step.add_argument("--yes", action="store_true", help="replace values that are already in the wallet")

    step = _command(steps, "credentials", issued.show, "list what issuers attested")
    step.add_argument("--check", action="store_true", help="ask the issuers' lists which are revoked")

    step = _command(steps, "forget-credential", issued.forget, "delete a credential")
    step.add_argument("credential", metavar="NAME")

    _command(steps, "restate", issued.restate, "prove to collectives that your changed data is present")


def _requirement_from(step: argparse.ArgumentParser) -> None:
    source = step.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--requirement", type=Path, metavar="FILE", help="the data requirement as a JSON file"
    )
    source.add_argument(
        "--collective", metavar="ID or link", help="take the requirement from this collective's signed terms"
    )


def _memberships(steps: Any) -> None:
    step = _command(steps, "pair", commands.pair, "pair the wallet with your account")
    step.add_argument("link", nargs="?", help="the cssi://pair link of the page “Pair a wallet”")
    step.add_argument("--url", help="address of the server, when you type a code instead")
    step.add_argument("--code", help="the one-time code")
    step.add_argument(
        "--rule",
        choices=["ask", "confirmed-on-web"],
        default="confirmed-on-web",
        help="ask here again for every offer, or accept what you confirmed on the web",
    )

    step = _command(steps, "subscribe", commands.subscribe, "review a collective's terms and subscribe")
    step.add_argument("collective", metavar="ID or link", help="its id, or a cssi://subscribe link")
    step.add_argument("--server", metavar="URL", help="address of the server, when the wallet is not paired")
    step.add_argument(
        "--days", type=int, default=0, help="end by itself after so many days, where the terms say more"
    )
    step.add_argument("--yes", action="store_true", help="agree to the printed terms without being asked")
    step.add_argument("--allow-development", action="store_true", help="allow terms with lowered minima")

    step = _command(steps, "run", commands.run, "stay connected and answer, until Ctrl-C")
    step.add_argument(
        "--visits-per-day",
        type=int,
        metavar="N",
        help="your limit per collective (default: as in `settings`)",
    )
    step.add_argument(
        "--lock-after",
        type=int,
        metavar="MINUTES",
        help="lock after so long without you, 0 is never (default: as in `settings`)",
    )
    step.add_argument("--allow-development", action="store_true", help="allow terms with lowered minima")

    step = _command(steps, "pages", commands.pages, "look after the wallet in a browser on this machine")
    step.add_argument("--allow-development", action="store_true", help="allow terms with lowered minima")

    step = _command(steps, "notices", announced.show, "list announced changes that wait for your answer")
    step.add_argument("--all", action="store_true", help="also the ones you have answered")

    step = _command(steps, "answer", announced.answer, "answer an announced change, or change your answer")
    step.add_argument("notice", metavar="NOTICE", help="its reference, or how it begins; `notices` shows it")
    step.add_argument(
        "choice",
        nargs="?",
        choices=[choice.value for choice in Choice],
        help="go on with it, go on without it, or leave the collective; asked when not given",
    )

    step = _command(
        steps, "appeal", announced.object_to, "why a collective asks this wallet no more, and to object to it"
    )
    step.add_argument("collective", metavar="ID or name")
    step.add_argument(
        "--text", default="", help="why this wallet should be asked again; only shown without it"
    )

    step = _command(steps, "revoke", commands.revoke, "delete a permit now, servers up or down")
    step.add_argument("collective", metavar="ID or name")


def _looking(steps: Any) -> None:
    _command(steps, "permits", commands.permits, "list who may learn from your data")
    step = _command(steps, "visits", commands.visits, "what was asked, answered and owed")
    step.add_argument("--collective", default="", metavar="ID")
    step.add_argument(
        "--kind", action="append", default=[], help="only entries of this kind; may be repeated"
    )
    step.add_argument("--format", choices=["table", "json", "csv"], default="table")
    step = _command(steps, "earnings", commands.earnings, "what is pending and what was paid")
    step.description = (
        "What is pending and what was paid. The market is asked about one payout address at a time, over a connection of its own, "
        "because whoever reads its log could otherwise tell which addresses are one person's; the others are shown as they were told last."
    )
    which = step.add_mutually_exclusive_group()
    which.add_argument("--of", default="", metavar="NAME", help="ask about this collective, or this address")
    which.add_argument("--kept", action="store_true", help="ask nobody; show what was told last")
    which.add_argument(
        "--all",
        action="store_true",
        help="ask about all now; that links them for whoever reads the server's log",
    )
    _command(steps, "selftest", commands.selftest, "try to break out of the sandbox")


def _keeping(steps: Any) -> None:
    step = _command(steps, "passphrase", keep.passphrase, "change the passphrase")
    _by_recovery(step)
    step.add_argument("--new-passphrase-file", metavar="FILE", help="read the new passphrase from this file")
    _command(steps, "recovery-code", keep.recovery_code, "make a new recovery code")
    _command(steps, "rekey", keep.rekey, "write the wallet anew under a new key, after a suspected leak")
    step = _command(steps, "backup", keep.make_backup, "write the whole wallet into one encrypted file")
    step.add_argument("file", type=Path)
    _by_recovery(step)
    step = _command(steps, "restore", keep.restore, "make a wallet out of a backup")
    step.add_argument("file", type=Path)
    _by_recovery(step)
    _command(steps, "check", keep.check, "read everything in the wallet and verify what is signed or chained")
    _command(steps, "lock", keep.lock, "lock the wallet that runs in another process")
    step = _command(steps, "wallets", keep.wallets, "list the wallets of a folder")
    step.add_argument("--home", type=Path, metavar="DIR", help="the folder (default: where --wallet lies)")
    step = _command(steps, "delete-wallet", keep.delete_wallet, "delete the whole wallet for good")
    step.add_argument("--confirm", metavar="NAME", help="the wallet's name, so that you are not asked")


def _limits(steps: Any) -> None:
    step = _command(steps, "settings", limits.change_settings, "show or change the wallet's settings")
    step.add_argument("--visits-per-day", type=int, metavar="N", help="limit per collective")
    step.add_argument("--lock-after", type=int, metavar="MINUTES", help="lock by itself; 0 is never")
    step.add_argument(
        "--sandbox", choices=["full", "reduced"], help="the lowest level at which tasks may run"
    )
    step.add_argument(
        "--privacy-job", metavar="RHO", help="what one job may cost in a year, in ρ; 0 is no limit"
    )
    step.add_argument(
        "--privacy-year", metavar="RHO", help="what all collectives together may cost in a year"
    )

    step = _command(steps, "limit", limits.limit, "show or change what one collective may ask of you")
    step.add_argument("collective", metavar="ID or name")
    step.add_argument(
        "--visits-per-day", type=int, metavar="N", help="0 takes the limit away, as with all others"
    )
    step.add_argument("--visits-total", type=int, metavar="N", help="visits in all")
    step.add_argument("--privacy", metavar="RHO", help="privacy budget in ρ, for example 0.5")
    step.add_argument("--smallest-sum", type=int, metavar="N", help="fewest wallets the aggregator may sum")
    step.add_argument("--smallest-release", type=int, metavar="N", help="fewest wallets in what a buyer gets")
    either = step.add_mutually_exclusive_group()
    either.add_argument("--pause", action="store_true", help="decline everything for now; the permit stays")
    either.add_argument("--resume", action="store_true", help="take part again")

    step = _command(steps, "receipts", limits.consent_receipts, "your signed consent receipts")
    step.add_argument("--format", choices=["table", "json"], default="table")


def _by_recovery(step: argparse.ArgumentParser) -> None:
    step.add_argument("--recovery", action="store_true", help="open with the recovery code")
    step.add_argument("--recovery-file", metavar="FILE", help="read the recovery code from this file")


def _command(steps: Any, name: str, run: Command, purpose: str) -> argparse.ArgumentParser:
    step: argparse.ArgumentParser = steps.add_parser(
        name, help=purpose, description=purpose[0].upper() + purpose[1:] + "."
    )
    step.set_defaults(command=run)
    return step


def _complain(error: WalletError) -> None:
    print("\n".join(clean(line) for line in error.sentence.splitlines()), file=sys.stderr)
