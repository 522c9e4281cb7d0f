"""Scripted malice: what a server with the distributor's key, or a wallet that lies with its own key, would send.

The servers here are given more than the protocol assumes: where a forged list or survivor statement would already fail for want of
the distributor's signature, these helpers sign it, so that a test reaches the wallet's next line of defence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields as fields_of
from typing import Any

import pytest

from aggregation.secagg.client import SecAggClient
from aggregation.secagg.errors import Fault, ProtocolError
from aggregation.secagg.messages import (
    AdvertiseList,
    Agreement,
    Consistency,
    ConsistencySet,
    EscrowShare,
    MaskedInput,
    Member,
    SelfShare,
    ShareKeys,
    Survivors,
    SurvivorsRequest,
    Unmask,
)
from aggregation.secagg.messages.lists import bucket_digest, lists_body
from aggregation.wire import merkle, signing
from aggregation.wire.secret import Secret
from tests.unit.secagg.pair import NOW, Wire, distributor, header, job_key
from tests.unit.secagg.tamper import changed

Rows = list[list[Any]]


def refused(call: Callable[[], object], fault: Fault, victim: SecAggClient | None = None) -> None:
    with pytest.raises(ProtocolError) as caught:
        call()
    assert caught.value.reason is fault, caught.value
    if victim is not None:
        assert_erased(victim)


def assert_erased(victim: SecAggClient) -> None:
    assert victim.closed
    assert victim._key is None
    assert victim._self_seed is None
    assert not victim._edges
    assert not victim._held
    for call in (
        victim.advertise,
        lambda: victim.receive_list(b"", now=NOW),
        lambda: victim.receive_shares(b""),
        lambda: victim.mask([0]),
        lambda: victim.receive_survivors(b""),
        lambda: victim.receive_consistency(b""),
    ):
        with pytest.raises(ProtocolError) as caught:
            call()
        assert caught.value.reason is Fault.OUT_OF_ORDER


def small(n: int = 6, **fields: Any) -> Wire:
    """One complete bucket whose wallets verify every neighbour."""
    values: dict[str, Any] = {"bucket_size": n, "bucket_min": 4, "release_min": 4, "log_members": n}
    return Wire(header(**{**values, **fields}), n, verify_sample=None)


def place(w: Wire, i: int) -> int:
    """Position of wallet i in its bucket."""
    return w.bucket_of(i).bucket.position(w.keys[i])


def at(w: Wire, position: int, bucket: int = 0) -> int:
    """The wallet at a position of a bucket."""
    return w.keys.index(w.round.buckets[bucket].bucket.members[position].job_key)


def signed_survivors(w: Wire, *positions: int, total: int | None = None, **other: Any) -> bytes:
    """Survivors as a server that has the distributor's signature on them would send them."""
    fields = {"header": w.head.hash(), "lists_root": w.round._roster.root, **other}  # type: ignore[union-attr]
    request = SurvivorsRequest(buckets=(positions,), **fields)
    body = {**request.signed_body(), "total": request.total if total is None else total}
    return Survivors(
        **fields,
        bucket=0,
        buckets=1,
        positions=positions,
        total=body["total"],
        path=(),
        root=request.tree.root,
        signature=signing.sign(distributor(), b"cssi/v1/survivors", body),
    ).to_bytes()


def signed_list(
    w: Wire, change: Callable[[Rows], object] = lambda rows: None, key: Secret | None = None, wallet: int = 0
) -> bytes:
    """A wallet's list with other members, signed again."""
    data = w.lists[w.keys[wallet]]
    rows: Rows = []
    changed(data, members=lambda old: rows.extend(old) or old)
    change(rows)
    members = [Member(job_key=a, public_key=b, index=c, expires=d) for a, b, c, d in rows]
    message = AdvertiseList.from_bytes(data)
    root = merkle.root([bucket_digest(0, members)])
    body = lists_body(message.header, 1, message.randomness, root)
    keep = len(rows)
    return changed(
        data,
        members=rows,
        root=root,
        signature=signing.sign(key or distributor(), b"cssi/v1/lists", body),
        evidence=lambda old: [row for row in old if row[0] < keep],
    )


def agreement_set(w: Wire, survivors: bytes, answers: Mapping[int, bytes]) -> bytes:
    """A ConsistencySet about some survivor list with the Consistency messages of these positions."""
    agreements = tuple(
        Agreement(position=position, signature=Consistency.from_bytes(data).signature)
        for position, data in sorted(answers.items())
    )
    digest = Survivors.from_bytes(survivors).digest()
    return ConsistencySet(header=w.head.hash(), bucket=0, survivors=digest, agreements=agreements).to_bytes()


def agrees(w: Wire, i: int, survivors: bytes) -> bytes:
    """A corrupt wallet's Consistency: it signs whatever it is asked to, as often as it is asked."""
    digest = Survivors.from_bytes(survivors).digest()
    return Consistency.sign(job_key(i), header=w.head.hash(), sender=w.keys[i], survivors=digest).to_bytes()


def resigned(message: Any, private: Secret, **fields: Any) -> bytes:
    """The message with other fields, signed again by its sender."""
    values = {f.name: getattr(message, f.name) for f in fields_of(message) if f.name != "signature"}
    made: bytes = type(message)._signed(private, **{**values, **fields}).to_bytes()
    return made


# Wallets that lie


def lying_shares(data: bytes, i: int, kind: type[SelfShare] | type[EscrowShare]) -> bytes:
    """An Unmask with garbage for every share of a kind."""
    message = Unmask.from_bytes(data)
    shares = tuple(
        kind(owner=s.owner, share=b"\xee" * 16) if isinstance(s, kind) else s for s in message.shares
    )
    return resigned(message, job_key(i), shares=shares)


def lying_box(data: bytes, i: int) -> bytes:
    """A ShareKeys whose escrow box does not open."""
    message = ShareKeys.from_bytes(data)
    return resigned(message, job_key(i), escrow=bytes(len(message.escrow)))


def lying_commitment(data: bytes, i: int) -> bytes:
    """A ShareKeys that commits to another self seed than it shares."""
    return resigned(ShareKeys.from_bytes(data), job_key(i), commitment=bytes(32))


def lying_ciphertexts(data: bytes, i: int, to: set[int]) -> bytes:
    """A ShareKeys whose shares for these positions do not open."""
    message = ShareKeys.from_bytes(data)
    shares = tuple(type(s)(peer=s.peer, ciphertext=bytes(48)) if s.peer in to else s for s in message.shares)
    return resigned(message, job_key(i), shares=shares)


def lying_vector(data: bytes, i: int) -> bytes:
    """A MaskedInput with one changed word."""
    message = MaskedInput.from_bytes(data)
    return resigned(message, job_key(i), y=bytes([message.y[0] ^ 1]) + message.y[1:])
