"""What the holder's own pages show and do about credentials from issuers. JSON in, JSON out, as in `local_views`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wallets.agent import attested, restating
from wallets.agent.errors import BadData
from wallets.agent.holder import Holder
from wallets.agent.local_reads import Body, View


async def list_credentials(holder: Holder, body: Body) -> Any:
    """What issuers attested, without a value."""
    return [_credential(held, holder.now()) for held in await attested.every(holder.agent)]


def _credential(held: attested.Held, now: int) -> dict[str, Any]:
    return {
        "name": held.name,
        "issuer": held.claims.issuer,
        "fields": sorted(held.claims.record),
        "state": held.status_at(now),
        "checked": held.checked,
        "expires": held.claims.expires,
        "unlinkable": bool(held.unlinkable),
    }


async def receive_credential(holder: Holder, body: Body) -> Any:
    """Collect a credential by its link; values already there are replaced only with `confirm`."""
    link = attested.OfferLink.parse(_text(body, "link"))
    held, added, replaced = await attested.receive(holder.agent, link, replace=body.get("confirm") is True)
    told = await restating.restate_all(holder.agent)
    return {"credential": _credential(held, holder.now()), "added": added, "replaced": replaced, "told": told}


async def check_credentials(holder: Holder, body: Body) -> Any:
    """Look every credential up in its issuer's list."""
    for held in await attested.every(holder.agent):
        await attested.check_status(holder.agent, held.name)
    return await list_credentials(holder, body)


async def delete_credential(holder: Holder, body: Body) -> Any:
    await attested.delete(holder.agent, _text(body, "name"))
    return {}


async def restate(holder: Holder, body: Body) -> Any:
    """Prove to collectives that the changed data is present; what each said."""
    return {"told": await restating.restate_all(holder.agent)}


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise BadData(f"Something is missing: {name}.")
    return value


READS: Mapping[str, View] = {"credentials": list_credentials}
ACTS: Mapping[str, View] = {
    "receive-credential": receive_credential,
    "check-credentials": check_credentials,
    "delete-credential": delete_credential,
    "restate": restate,
}
