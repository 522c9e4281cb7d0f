"""Commands about the person's own data: import it, see what it lacks, make the file to import."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from collectives.datatool import page, saved
from collectives.terms.errors import TermsError
from collectives.terms.requirements import check_profile, requirement_hash
from wallets.agent import credentials, journal, linking, presentation, terminal
from wallets.agent.agent import WalletAgent
from wallets.agent.commands import opened
from wallets.agent.errors import BadData, NotFound
from wallets.agent.journal import Kind
from wallets.agent.material import missing_for

DONE = 0


async def import_(options: argparse.Namespace) -> int:
    """Validate a file against a requirement, show what changes, then store it."""
    async with opened(options) as agent:
        requirement = await _requirement(agent, options)
        new = credentials.read_file(options.file, requirement, row=options.row)
        _check(options.file.name, new, requirement)
        added, replaced = credentials.changes(await credentials.load(agent.store), new)
        _show(added, replaced)
        if options.dry_run:
            print("Nothing was changed.")
            return DONE
        if replaced and not options.yes:
            raise BadData(
                f"This would replace values already in the wallet: {', '.join(replaced)}. "
                "Nothing was changed; repeat with --yes to replace them."
            )
        async with agent.store.transaction() as records:
            await credentials.save(records, new)
            sentence = f"{len(added)} fields added, {len(replaced)} replaced."
            await journal.append(records, agent.now(), Kind.DATA, sentence=sentence)
        print(f"Imported {options.file.name}: {sentence}")
        record = await credentials.load(agent.store)
        stored = (await agent.store.list("permit")).values()
        if any(missing_for(permit, record) for permit in stored):
            print(
                "Collectives you subscribed to were shown other data. `restate` proves the new data to them."
            )
    return DONE


async def missing(options: argparse.Namespace) -> int:
    """Say what the wallet's data lacks for a requirement; values are not shown."""
    async with opened(options) as agent:
        requirement = await _requirement(agent, options)
        problems = await presentation.lacking(agent, await credentials.load(agent.store), requirement)
    print(_listed("Still missing or wrong:", problems) if problems else "Your data meets the requirement.")
    return DONE


async def show(options: argparse.Namespace) -> int:
    """Name the fields in the wallet; with --values also show what they hold, on this screen alone."""
    async with opened(options) as agent:
        record = await credentials.load(agent.store)
    for name in sorted(record):
        shown = json.dumps(record[name], ensure_ascii=False) if options.values else ""
        print(terminal.clean(f"{name}  {shown}".rstrip()))
    if not record:
        print("Your wallet holds no data yet. `import` or `create-data` begin.")
    return DONE


async def forget(options: argparse.Namespace) -> int:
    """Delete fields of your data for good."""
    async with opened(options) as agent:
        gone = await credentials.forget(agent, options.fields)
        print(f"Deleted and erased from the wallet's file: {', '.join(gone)}.")
        if await agent.store.list("permit"):
            print("A collective that asks for them gets no visit from now on; `revoke` ends its permit too.")
    return DONE


async def data_tool(options: argparse.Namespace) -> int:
    """Write the offline page for a requirement."""
    async with _asked(options) as requirement:
        _write(options.out, page.render(requirement))
    print(f"Open {options.out} in a browser; it works without a network. Then `import` the file it saves.")
    print(f"Template {page.template_hash()[:16]}")
    return DONE


async def check_tool(options: argparse.Namespace) -> int:
    """Check a page that came from elsewhere before entering data in it."""
    try:
        requirement = page.requirement_of(_text(options.file))
    except TermsError as error:
        raise BadData(str(error)) from None
    print(f"This is the published tool for requirement {requirement_hash(requirement)}.")
    return DONE


async def create_data(options: argparse.Namespace) -> int:
    """Make the same file as the offline page, from values given as words."""
    async with _asked(options) as requirement:
        pairs = [word.partition("=") for word in options.values]
        if any(not sign for _, sign, _ in pairs):
            raise BadData("Give each value as FIELD=VALUE.")
        record = credentials.from_words({name: text for name, _, text in pairs}, requirement)
        _check("What you gave", record, requirement)
        _write(options.out, json.dumps(saved.pack(requirement, record), indent=1, ensure_ascii=False) + "\n")
    print(f"Saved {options.out}. `import` it into the wallet, then delete it.")
    return DONE


@asynccontextmanager
async def _asked(options: argparse.Namespace) -> AsyncIterator[dict[str, Any]]:
    """The requirement of the options; the wallet is unlocked only when a collective must be asked for it."""
    if not options.collective:
        yield await _requirement(None, options)
        return
    async with opened(options) as agent:
        yield await _requirement(agent, options)


async def _requirement(agent: WalletAgent | None, options: argparse.Namespace) -> dict[str, Any]:
    if options.collective:
        assert agent is not None
        return await _agreed(agent, options.collective)
    requirement = credentials.from_json(_text(options.requirement))
    try:
        check_profile(requirement)
    except TermsError as error:
        raise BadData(f"The requirement is not valid: {error}") from None
    return requirement


async def _agreed(agent: WalletAgent, collective: str) -> dict[str, Any]:
    """The requirement in the signed terms of a collective, named by id or by its whole link."""
    link = linking.parse_subscription(collective)
    try:
        await linking.know_server(agent, link.url, link.pin)
    except NotFound as error:
        raise NotFound(
            "This wallet knows no server that could be asked for this collective's terms. Pair it first (`pair`), or give the "
            "collective's whole cssi://subscribe link, or the requirement as a file with --requirement.",
            code=error.code,
        ) from None
    _, terms = await linking.signed_terms(agent, link.collective)
    return dict(terms.requirement)


def _check(what: str, new: dict[str, Any], requirement: dict[str, Any]) -> None:
    problems = presentation.missing(new, requirement)
    if problems:
        raise BadData(_listed(f"{what} does not meet the requirement; nothing was changed:", problems))


def _show(added: list[str], replaced: list[str]) -> None:
    if added:
        print(f"Fields that would be added: {', '.join(added)}.")
    if replaced:
        print(f"Fields that would be replaced: {', '.join(replaced)}.")
    if not added and not replaced:
        print("The wallet holds these values already.")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise BadData(f"The file {path} cannot be read as UTF-8 text.") from None


def _write(path: Path, text: str) -> None:
    """A new file that only its owner reads; an existing one is never overwritten."""
    try:
        with os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as out:
            out.write(text)
    except FileExistsError:
        raise BadData(f"{path} exists already. Choose another name with --out.") from None
    except OSError as error:
        raise BadData(f"{path} cannot be written: {error.strerror}.") from None


def _listed(title: str, problems: tuple[str, ...]) -> str:
    shown = [f"  - {problem}" for problem in problems[:12]]
    if len(problems) > 12:
        shown.append(f"  - and {len(problems) - 12} more")
    return "\n".join([title, *shown])
