"""What the holder's own pages do, as plain functions over a wallet. JSON in, JSON out; what they show is in `local_reads`.

These are the verbs a browser wallet would offer to the very same pages.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from aggregation.wire.secret import Secret
from collectives.terms.description import words_for_agreement
from wallets.agent import (
    backup,
    consent,
    credentials,
    integrity,
    journal,
    keeping,
    leaving,
    linking,
    local_credentials,
    membership,
    permits,
    presentation,
    server,
    settings,
    standing,
)
from wallets.agent import earnings as money
from wallets.agent.consent import Rule
from wallets.agent.errors import BadData, NotFound, WalletError
from wallets.agent.holder import Holder, check_new_passphrase
from wallets.agent.journal import Kind
from wallets.agent.keyfile import SlotKind
from wallets.agent.local_reads import (
    Body,
    View,
    earnings,
    export_journal,
    health,
    list_permits,
    list_receipts,
    open_notices,
    overview,
    privacy,
    read_journal,
)
from wallets.agent.messages import Choice
from wallets.agent.transport import check_url


def _secret(body: Body) -> tuple[SlotKind, Secret]:
    """The passphrase or the recovery code of a request."""
    if body.get("recovery_code"):
        return SlotKind.RECOVERY, Secret(_text(body, "recovery_code").encode())
    return SlotKind.PASSPHRASE, Secret(_text(body, "passphrase").encode())


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise BadData(f"Something is missing: {name.replace('_', ' ')}.")
    return value


async def state(holder: Holder, body: Body) -> Any:
    return {
        "state": holder.state,
        "name": holder.directory.absolute().name,
        "locked_until": holder.locked_until(),
    }


async def create(holder: Holder, body: Body) -> Any:
    return {"recovery_code": await holder.create(_text(body, "passphrase"))}


async def unlock(holder: Holder, body: Body) -> Any:
    await holder.unlock(*_secret(body))
    return await state(holder, body)


async def lock(holder: Holder, body: Body) -> Any:
    await holder.lock()
    return await state(holder, body)


async def make_backup(holder: Holder, body: Body) -> Any:
    """The encrypted backup as base64; the passphrase is asked again, so that an open page alone cannot copy the wallet."""
    store = holder.agent.store
    made = await backup.make(holder.directory, *_secret(body), now=holder.now(), rng=secrets.token_bytes)
    await backup.note(store, holder.now())
    name = f"{holder.directory.absolute().name}{backup.SUFFIX}"
    return {"name": name, "file": base64.b64encode(made).decode()}


async def change_passphrase(holder: Holder, body: Body) -> Any:
    """By the old passphrase or the recovery code; the store itself is not touched."""
    kind, secret = _secret(body)
    new = _text(body, "new_passphrase")
    check_new_passphrase(new)
    keeping.change_passphrase(
        holder.directory, kind, secret, Secret(new.encode()), now=holder.now(), rng=secrets.token_bytes
    )
    await holder.agent.record(Kind.SECURITY, sentence="The passphrase was changed.")
    return {}


async def new_recovery_code(holder: Holder, body: Body) -> Any:
    """A fresh code, shown once."""
    kind, secret = _secret(body)
    code = keeping.new_recovery_code(
        holder.directory, kind, secret, now=holder.now(), rng=secrets.token_bytes
    )
    await holder.agent.record(Kind.SECURITY, sentence="The recovery code was replaced.")
    return {"recovery_code": code}


async def restore(holder: Holder, body: Body) -> Any:
    try:
        raw = base64.b64decode(_text(body, "file"), validate=True)
    except binascii.Error:
        raise BadData("The backup could not be read. Choose the file again.") from None
    await holder.restore(raw, *_secret(body))
    return await state(holder, body)


async def answer(holder: Holder, body: Body) -> Any:
    holder.answer(_text(body, "id"), _text(body, "answer"))
    return {}


async def data(holder: Holder, body: Body) -> Any:
    """The person's own record, and for every collective in question what it still lacks."""
    store = holder.agent.store
    record = await credentials.load(store)
    asked = []
    for collective_id, stored in sorted((await store.list("permit")).items()):
        requirement = permits.requirement_of(stored)
        name = stored["terms"]["document"]["name"]
        asked.append(await _asked(holder, collective_id, name, requirement, record))
    wanted = body.get("collective")
    if isinstance(wanted, str) and wanted and wanted not in {one["collective"] for one in asked}:
        link = linking.parse_subscription(wanted)
        _, terms = await linking.signed_terms(holder.agent, link.collective)
        asked.append(await _asked(holder, wanted, terms.name, dict(terms.requirement), record))
    return {"record": record, "collectives": asked}


async def _asked(
    holder: Holder, collective: str, name: str, requirement: dict[str, Any], record: dict[str, Any]
) -> dict[str, Any]:
    lacking = list(await presentation.lacking(holder.agent, record, requirement))
    return {"collective": collective, "name": name, "requirement": requirement, "missing": lacking}


async def save_data(holder: Holder, body: Body) -> Any:
    """Check texts (or a whole imported file) against a requirement; store only with `confirm`, and say what changes."""
    store = holder.agent.store
    wanted = _text(body, "collective")
    known = await data(holder, {"collective": wanted})
    found = next((one for one in known["collectives"] if one["collective"] == wanted), None)
    if found is None:
        raise NotFound("This collective is not known here.")
    requirement = found["requirement"]
    if isinstance(body.get("file"), str):
        new = credentials.from_text(_text(body, "name"), body["file"], requirement)
    else:
        words = body.get("words")
        if not isinstance(words, dict) or not all(isinstance(value, str) for value in words.values()):
            raise BadData("Enter your values first.")
        new = credentials.from_words({k: v for k, v in words.items() if v.strip()}, requirement)
    before = await credentials.load(store)
    added, replaced = credentials.changes(before, new)
    if body.get("confirm") is True:
        async with store.transaction() as records:
            await credentials.save(records, new)
            text = f"{len(added)} fields added, {len(replaced)} replaced."
            await journal.append(records, holder.now(), Kind.DATA, sentence=text)
    lacking = list(await presentation.lacking(holder.agent, {**before, **new}, requirement))
    return {"added": added, "replaced": replaced, "missing": lacking, "saved": body.get("confirm") is True}


async def pair(holder: Holder, body: Body) -> Any:
    """Pair by link, or by address and one-time code. The rule says whether what was confirmed on the web counts as the holder's yes.

    A typed code names no key, so the answer's `compare` is what the holder compares with the page; empty after a link.
    """
    agent = holder.agent
    if body.get("code"):
        url = check_url(_text(body, "url").strip())
        link = server.PairingLink(url=url, code=_text(body, "code").strip())
    else:
        link = server.parse_link(_text(body, "link"))
    label = await membership.pair(agent, link)
    rule = Rule.WEB if body.get("trust_web") is True else Rule.ASK
    await agent.store.put(*consent.RULE, {"rule": rule.value})
    agent.consent.rule = rule
    return {"label": label, "compare": "" if link.pin else agent.server.pin[: server.SHOWN_OF_PIN]}


async def review(holder: Holder, body: Body) -> Any:
    """The signed terms of a collective, in words. What is shown comes from the document and from nowhere else."""
    link = linking.parse_subscription(_text(body, "collective"))
    await linking.know_server(holder.agent, link.url, link.pin)
    _, terms = await linking.signed_terms(holder.agent, link.collective)
    record = await credentials.load(holder.agent.store)
    return {
        "collective": terms.collective_id,
        "name": terms.name,
        "sentences": list(words_for_agreement(terms)),
        "fields": list(terms.requirement["properties"]),
        "missing": list(await presentation.lacking(holder.agent, record, terms.requirement)),
    }


async def subscribe(holder: Holder, body: Body) -> Any:
    """Subscribe; the question appears among the open ones and is answered there, from the document that will be signed."""
    agent, collective = holder.agent, _text(body, "collective")
    envelope, _ = await linking.signed_terms(agent, collective)
    offer = {"collective_id": collective, "terms": envelope, "offer_ref": ""}

    async def work() -> None:
        with suppress(WalletError):  # each is in the journal already, by name
            await membership.subscribe(agent, offer, through_pairing=False, attempts=membership.WHILE_OPEN)

    task = asyncio.get_running_loop().create_task(work())
    holder.background.add(task)
    task.add_done_callback(holder.background.discard)
    return {}


async def pause(holder: Holder, body: Body) -> Any:
    await settings.pause(holder.agent.store, _text(body, "collective"), paused=body.get("paused") is True)
    return {}


async def limit(holder: Holder, body: Body) -> Any:
    """Set limits; each is a whole number, 0 for none."""
    allowed = ("visits_per_day", "visits_total", "privacy_micro", "bucket_min", "release_min")
    changed = {name: body[name] for name in allowed if name in body}
    if not all(type(value) is int for value in changed.values()):
        raise BadData("A limit is a whole number.")
    return asdict(await settings.limit(holder.agent.store, _text(body, "collective"), changed))


async def object_to(holder: Holder, body: Body) -> Any:
    """Say why an exclusion is wrong."""
    await standing.appeal(holder.agent, _text(body, "collective"), _text(body, "text"))
    return {}


async def delete_permit(holder: Holder, body: Body) -> Any:
    """Delete a permit now; says exactly what happened."""
    return asdict(await leaving.revoke(holder.agent, _text(body, "collective")))


async def choose(holder: Holder, body: Body) -> Any:
    """With the new algorithm, without it, or leave."""
    try:
        choice = Choice(_text(body, "choice"))
    except ValueError:
        raise BadData("Choose with, without or leave.") from None
    await holder.agent.inbox.answer_notice(_text(body, "collective"), _text(body, "notice"), choice)
    return {}


async def ask_earnings(holder: Holder, body: Body) -> Any:
    """Ask the market about one payout address, over a connection of its own."""
    await money.ask(holder.agent, await money.next_to_ask(holder.agent, _text(body, "address")))
    return await earnings(holder, body)


async def check_store(holder: Holder, body: Body) -> Any:
    """Every record read, every chain and signature verified."""
    return asdict(await integrity.check(holder.agent))


async def forget_data(holder: Holder, body: Body) -> Any:
    fields = body.get("fields")
    if not isinstance(fields, list) or not all(isinstance(name, str) for name in fields):
        raise BadData("Say which fields to delete.")
    return {"deleted": await credentials.forget(holder.agent, fields)}


async def delete_entry(holder: Holder, body: Body) -> Any:
    sequence = body.get("seq")
    if type(sequence) is not int or not await holder.agent.journal.delete(sequence):
        raise NotFound("There is no such entry.")
    await holder.agent.store.erase()
    return {}


async def change_settings(holder: Holder, body: Body) -> Any:
    allowed = {"visits_per_day": int, "lock_after_minutes": int, "sandbox": str}
    changed = {name: body[name] for name in allowed if name in body}
    if not all(type(value) is allowed[name] for name, value in changed.items()):
        raise BadData("A setting has the wrong form.")
    kept = await settings.save(holder.agent.store, changed)
    await holder.rebuild_policy()
    return asdict(kept)


async def selftest(holder: Holder, body: Body) -> Any:
    """Every probe, also the slow ones."""
    return [asdict(result) for result in await holder.agent.launcher.self_test()]


READS: Mapping[str, View] = {
    "state": state,
    "overview": overview,
    "data": data,
    "permits": list_permits,
    "notices": open_notices,
    "journal": read_journal,
    "privacy": privacy,
    "earnings": earnings,
    "receipts": list_receipts,
    "health": health,
    **local_credentials.READS,
}
ACTS: Mapping[str, View] = {
    "create": create,
    "unlock": unlock,
    "lock": lock,
    "backup": make_backup,
    "restore": restore,
    "passphrase": change_passphrase,
    "recovery-code": new_recovery_code,
    "answer": answer,
    "save-data": save_data,
    "pair": pair,
    "review": review,
    "subscribe": subscribe,
    "pause": pause,
    "limit": limit,
    "appeal": object_to,
    "delete-permit": delete_permit,
    "choose": choose,
    "ask-earnings": ask_earnings,
    "check-store": check_store,
    "forget-data": forget_data,
    "delete-entry": delete_entry,
    "export-journal": export_journal,
    "settings": change_settings,
    "selftest": selftest,
    **local_credentials.ACTS,
}
