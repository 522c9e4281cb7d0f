"""Credentials from issuers: receive, keep, look up their status, delete, and prove with them that attested data is present.

Each credential is bound to a key of its own. A presentation to a collective discloses facts ("peer_review meets rule …") and never a
value; it is linkable all the same: the issuer's signature in it is the same wherever it is shown, and the pages say so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from aggregation.wire import signing
from aggregation.wire.secret import Secret
from attestation.formats import credential as sd_jwt
from attestation.formats import facts, status
from attestation.formats.errors import AttestationError
from wallets.agent import credentials, journal, unlinkable
from wallets.agent.errors import BadData, NotFound, ProtocolFault, Unreachable, WalletError
from wallets.agent.journal import Kind
from wallets.agent.transport import check_url

if TYPE_CHECKING:
    from wallets.agent.agent import WalletAgent

CATEGORY, PENDING = "attested", "attested-next"
LABEL_COLLECT, LABEL_RECEIVED = b"cssi/v1/credential", b"cssi/v1/credential-received"
GOOD, REVOKED, UNKNOWN, EXPIRED = "good", "revoked", "unknown", "expired"


@dataclass(frozen=True, kw_only=True)
class OfferLink:
    """`cssi://credential?url=…&code=…&issuer=…`: where to collect, and whose signature must be on it."""

    url: str
    code: str = field(repr=False)
    issuer: str

    @classmethod
    def parse(cls, text: str) -> OfferLink:
        """Raises BadData."""
        parts = urlsplit(text.strip())
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        wanted = ("url", "code", "issuer")
        if parts.scheme != "cssi" or parts.netloc != "credential" or not all(query.get(n) for n in wanted):
            raise BadData("This is not a whole cssi://credential link. Copy it again from your issuer.")
        return cls(url=check_url(query["url"]).rstrip("/"), code=query["code"], issuer=query["issuer"])


@dataclass(frozen=True, kw_only=True)
class Held:
    """One credential in the wallet."""

    name: str
    text: str = field(repr=False)
    holder: Secret = field(repr=False)
    claims: sd_jwt.Claims
    status: str
    checked: int
    unlinkable: Mapping[str, Any] = field(repr=False, default_factory=dict)

    @classmethod
    def from_record(cls, name: str, record: Mapping[str, Any]) -> Held:
        # What was stored was verified when it came; the time of arrival is before its end.
        claims = sd_jwt.open_issued(record["credential"], issuers=None, now=record["received"])
        return cls(
            name=name,
            text=record["credential"],
            holder=Secret(bytes.fromhex(record["holder"])),
            claims=claims,
            status=record["status"],
            checked=record["checked"],
            unlinkable=record.get("unlinkable") or {},
        )

    def status_at(self, now: int) -> str:
        return EXPIRED if self.status != REVOKED and self.claims.expires <= now else self.status


async def receive(agent: WalletAgent, link: OfferLink, *, replace: bool) -> tuple[Held, list[str], list[str]]:
    """Collect a credential, check it, keep it and its values; (credential, fields added, fields replaced).

    Raises BadData when values would be replaced and `replace` is false (the offer stays open for this wallet), WalletError with the
    credential's own code when it is not what the link promised, and what the transport raises.
    """
    holder = await _pending_key(agent, link.code)
    public = signing.public_key(holder)
    answer = await agent.transport.call(
        "POST", f"{link.url}/collect", _signed(agent, holder, link, LABEL_COLLECT)
    )
    text = answer.get("credential") if isinstance(answer, dict) else None
    try:
        claims = sd_jwt.open_issued(str(text), issuers=[link.issuer], now=agent.now())
    except AttestationError as error:
        raise WalletError(str(error), code=error.code) from None
    if claims.holder_key != public:
        raise ProtocolFault(
            "The issuer bound the credential to another key. Nothing was kept.", code="wrong_key"
        )
    added, replaced = credentials.changes(await credentials.load(agent.store), claims.record)
    if replaced and not replace:
        raise BadData(
            f"This would replace values already in the wallet: {', '.join(replaced)}. "
            "Nothing was changed; repeat with --yes to replace them."
        )
    name = public.hex()[:16]
    record: dict[str, Any] = {
        "credential": str(text),
        "holder": holder.reveal().hex(),
        "received": agent.now(),
        "status": UNKNOWN,
        "checked": 0,
    }
    record["unlinkable"] = await unlinkable.collect(
        agent,
        answer.get("unlinkable"),
        link.issuer,
        f"{link.url}/collect-unlinkable",
        fields=claims.record,
        call=_signed(agent, holder, link, LABEL_COLLECT),
    )
    async with agent.store.transaction() as records:
        await records.put(CATEGORY, name, record)
        await credentials.save(records, claims.record)
        await records.remove(PENDING, _name_of(link.code))
        sentence = f"A credential for {', '.join(sorted(claims.record))} was received."
        await journal.append(records, agent.now(), Kind.DATA, sentence=sentence)
    await _confirm(agent, holder, link)
    await check_status(agent, name)
    return await one(agent, name), added, replaced


async def every(agent: WalletAgent) -> list[Held]:
    """All credentials, by name."""
    return [
        Held.from_record(name, record) for name, record in sorted((await agent.store.list(CATEGORY)).items())
    ]


async def one(agent: WalletAgent, name: str) -> Held:
    """Raises NotFound."""
    record = await agent.store.get(CATEGORY, name)
    if record is None:
        raise NotFound(f"There is no credential {name} in this wallet. `credentials` lists them.")
    return Held.from_record(name, record)


async def delete(agent: WalletAgent, name: str) -> None:
    """Forget a credential and its key, and erase them from the file. The values stay, as the holder's own word."""
    await one(agent, name)
    async with agent.store.transaction() as records:
        await records.remove(CATEGORY, name)
        await journal.append(records, agent.now(), Kind.DATA, sentence="A credential was deleted.")
    await agent.store.erase()


async def check_status(agent: WalletAgent, name: str) -> str:
    """Look the credential up in its issuer's list and keep the answer; a list that cannot be read changes nothing, not even when it was checked."""
    held = await one(agent, name)
    found, read = held.status, True
    try:
        answer = await agent.transport.request(
            "GET", check_url(held.claims.status_uri), most=status.LARGEST_TOKEN
        )
        status.check(
            answer.body.decode("ascii", "replace"),
            issuer=held.claims.issuer,
            uri=held.claims.status_uri,
            index=held.claims.status_index,
            now=agent.now(),
        )
        found = GOOD
    except AttestationError as error:
        read = error.code == "revoked"
        found = REVOKED if read else found
    except (Unreachable, ProtocolFault):
        read = False
    record = await agent.store.get(CATEGORY, name)
    if record is not None and read:
        await agent.store.put(CATEGORY, name, {**record, "status": found, "checked": agent.now()})
    return found


def choose(
    requirement: Mapping[str, Any],
    record: Mapping[str, Any],
    held: Sequence[Held],
    now: int,
    level: str = "attested",
) -> tuple[dict[str, Held], list[str]]:
    """(field -> credential that attests it, what is lacking in words) for the attested fields of a requirement."""
    chosen: dict[str, Held] = {}
    lacking: list[str] = []
    for name, issuers in facts.asked(requirement, level).items():
        rule = facts.rule_id(name, requirement["properties"][name])
        from_them = [h for h in held if h.claims.issuer in issuers and name in h.claims.record]
        good = [
            h for h in from_them if h.status_at(now) in (GOOD, UNKNOWN) and h.claims.facts.get(name) == rule
        ]
        if level == "unlinkable":
            good = [h for h in good if unlinkable.holds(h.unlinkable, name, now)]
        same = [h for h in good if name in record and h.claims.record[name] == record[name]]
        if same:
            chosen[name] = max(same, key=lambda h: h.claims.expires)
        elif good:
            lacking.append(
                f"{name}: your value is not the one its issuer attested; receive or import that one again"
            )
        elif from_them:
            lacking.append(
                f"{name}: the credential is revoked, expired or made for another rule; ask its issuer for a new one"
            )
        else:
            lacking.append(f"{name}: needs a credential from {' or '.join(issuers[:3])}")
    return chosen, lacking


def presentations(chosen: Mapping[str, Held], *, collective_id: str, nonce: str, now: int) -> tuple[str, ...]:
    """One presentation per credential, disclosing the facts it is chosen for."""
    by_credential: dict[str, list[str]] = {}
    for name, held in chosen.items():
        by_credential.setdefault(held.name, []).append(name)
    found = {held.name: held for held in chosen.values()}
    return tuple(
        sd_jwt.present(
            found[key].text,
            holder=found[key].holder,
            facts=names,
            audience=collective_id,
            nonce=nonce,
            now=now,
        )
        for key, names in sorted(by_credential.items())
    )


async def _pending_key(agent: WalletAgent, code: str) -> Secret:
    """The key for this offer, kept before it is used: after a lost answer the same one asks again."""
    stored = await agent.store.get(PENDING, _name_of(code))
    if stored is None:
        stored = {"private": signing.generate(agent.rng).reveal().hex()}
        await agent.store.put(PENDING, _name_of(code), stored)
    return Secret(bytes.fromhex(stored["private"]))


async def _confirm(agent: WalletAgent, holder: Secret, link: OfferLink) -> None:
    """Let the issuer erase the values. If it cannot be told now, it erases them when the offer ends."""
    try:
        call = _signed(agent, holder, link, LABEL_RECEIVED)
        await agent.transport.call("POST", f"{link.url}/received", call)
    except WalletError:
        agent.event("issuer_not_told")


def _signed(agent: WalletAgent, holder: Secret, link: OfferLink, label: bytes) -> dict[str, Any]:
    public, created = signing.public_key(holder), agent.now()
    signature = signing.sign(holder, label, {"code": link.code, "key": public, "created": created})
    return {"code": link.code, "holder_key": public.hex(), "created": created, "signature": signature.hex()}


def _name_of(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()[:16]
