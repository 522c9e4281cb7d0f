"""AdvertiseKeys at the server: from the wallets' round keys to buckets with one signed list each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from aggregation.secagg.errors import Abort, AbortReason, Fault, LocalProtocolError, RemoteProtocolError
from aggregation.secagg.graph import Graph
from aggregation.secagg.masking import check_public_key
from aggregation.secagg.messages import (
    Advertise,
    AdvertiseList,
    Evidence,
    Header,
    ListsRequest,
    Member,
    assignment,
)
from aggregation.secagg.messages.codec import verify
from aggregation.secagg.messages.lists import LABEL_LISTS
from aggregation.secagg.server.members import MemberLog
from aggregation.wire import cbor


def check_sender(named: bytes, proved: bytes | None) -> None:
    """A message may not name another wallet than the one its connection proved."""
    if proved is not None and named != proved:
        raise RemoteProtocolError(Fault.WRONG_SENDER)


def accept_advertise(
    header: Header,
    data: bytes,
    *,
    log: MemberLog,
    now: int,
    sender: bytes | None = None,
    trusted: bool = False,
) -> Advertise:
    """A round key of an enrolled wallet.

    Args:
        sender: the job key the connection proved, if it did.
        trusted: the bytes were accepted before; skip key and signature checks.

    Raises:
        RemoteProtocolError: malformed, for another round, not enrolled, expired, unusable key, or not signed.
    """
    advertise = Advertise.from_bytes(data)
    check_sender(advertise.sender, sender)
    if advertise.header != header.hash():
        raise RemoteProtocolError(Fault.WRONG_ROUND)
    entry = log.entry(advertise.sender)
    if not trusted:
        if entry.expires <= now:
            raise RemoteProtocolError(Fault.EXPIRED)
        check_public_key(advertise.public_key)
        advertise.verify_by(advertise.sender)
    return advertise


@dataclass(frozen=True, kw_only=True, eq=False)
class Bucket:
    """One bucket of a signed roster: all that later steps need to know about it."""

    header: Header
    index: int
    buckets: int
    members: tuple[Member, ...]
    evidence: tuple[Evidence, ...]
    """Of every member, by position."""
    randomness: bytes
    path: tuple[bytes, ...]
    root: bytes
    signature: bytes

    @cached_property
    def graph(self) -> Graph:
        return Graph(self.header, len(self.members))

    @property
    def threshold(self) -> int:
        return self.graph.threshold

    @cached_property
    def _positions(self) -> dict[bytes, int]:
        return {member.job_key: position for position, member in enumerate(self.members)}

    def position(self, job_key: bytes) -> int:
        """Raises:
        RemoteProtocolError: the wallet is not in this bucket.
        """
        try:
            return self._positions[job_key]
        except KeyError:
            raise RemoteProtocolError(Fault.STRANGER) from None

    def list_for(self, position: int) -> bytes:
        """The AdvertiseList of a member, with evidence for its neighbours (in a complete graph the same bytes for all)."""
        if self.graph.complete:
            return self._list_for_all
        rows, parts = self._list_parts
        evidence = cbor.join_array([rows[peer] for peer in self.graph.neighbours(position)])
        return cbor.join({**parts, "evidence": evidence})

    @cached_property
    def _list_for_all(self) -> bytes:
        return AdvertiseList(
            header=self.header.hash(),
            bucket=self.index,
            buckets=self.buckets,
            randomness=self.randomness,
            members=self.members,
            evidence=self.evidence,
            path=self.path,
            root=self.root,
            signature=self.signature,
        ).to_bytes()

    @cached_property
    def _list_parts(self) -> tuple[list[bytes], dict[str, bytes]]:
        """Encoded once: the evidence of every member, and all that the lists of a bucket have in common."""
        _, parts = cbor.decode_map(self._list_for_all)
        return [cbor.encode(item.row()) for item in self.evidence], parts


@dataclass(frozen=True, kw_only=True, eq=False)
class Roster:
    """All buckets of a round. Unsigned at first: `request` goes to the distributor, `signed` takes its answer."""

    header: Header
    lists: ListsRequest
    evidence: Mapping[bytes, tuple[bytes, tuple[bytes, ...]]]
    """Job key → its Advertise signature and log proof."""
    dropped: tuple[bytes, ...]
    """Job keys left out because another wallet advertised the same round key."""
    signature: bytes = b""

    def request(self) -> bytes:
        return self.lists.to_bytes()

    @property
    def root(self) -> bytes:
        return self.lists.lists_root()

    def signed(self, signature: bytes) -> Roster:
        """Raises:
        RemoteProtocolError: the signature is not the distributor's over these lists.
        """
        verify(self.header.distributor_key, LABEL_LISTS, self.lists.signed_body(), signature)
        return replace(self, signature=signature)

    @cached_property
    def buckets(self) -> tuple[Bucket, ...]:
        """Raises:
        LocalProtocolError: the roster is not signed yet.
        """
        if not self.signature:
            raise LocalProtocolError(Fault.OUT_OF_ORDER, "the lists are not signed yet")
        return tuple(self._bucket(index) for index in range(len(self.lists.buckets)))

    def _bucket(self, index: int) -> Bucket:
        members = self.lists.buckets[index]
        evidence = []
        for position, member in enumerate(members):
            signature, proof = self.evidence[member.job_key]
            evidence.append(Evidence(position=position, signature=signature, proof=proof))
        return Bucket(
            header=self.header,
            index=index,
            buckets=len(self.lists.buckets),
            members=members,
            evidence=tuple(evidence),
            randomness=self.lists.randomness,
            path=tuple(self.lists.tree.proof(index)),
            root=self.root,
            signature=self.signature,
        )

    @cached_property
    def _places(self) -> dict[bytes, tuple[Bucket, int]]:
        return {m.job_key: (bucket, p) for bucket in self.buckets for p, m in enumerate(bucket.members)}

    def locate(self, job_key: bytes) -> tuple[Bucket, int]:
        """Raises:
        RemoteProtocolError: the wallet is in no bucket.
        """
        try:
            return self._places[job_key]
        except KeyError:
            raise RemoteProtocolError(Fault.STRANGER) from None


def assign_buckets(
    header: Header, advertises: Iterable[Advertise], *, log: MemberLog, randomness: bytes
) -> Roster:
    """Draw the buckets. The result depends on the set of messages, not on their order.

    Wallets that share a round key are all left out: keys are secret until the list is sent, so only conspirators share one.

    Raises:
        Abort: fewer wallets than release_min.
        LocalProtocolError: two messages of one wallet, or another log than the header's.
    """
    if (log.root, log.size) != (header.log_root, header.log_size):
        raise LocalProtocolError(Fault.BAD_PROOF, "this is not the log the header names")
    messages = list(advertises)
    senders = {message.sender: message for message in messages}
    if len(senders) != len(messages):
        raise LocalProtocolError(Fault.DUPLICATE, "two advertises of one wallet")
    uses: dict[bytes, int] = {}
    for message in messages:
        uses[message.public_key] = uses.get(message.public_key, 0) + 1
    kept = [message for message in messages if uses[message.public_key] == 1]
    members, evidence = [], {}
    for message in kept:
        entry = log.entry(message.sender)
        members.append(
            Member(
                job_key=message.sender,
                public_key=message.public_key,
                index=entry.index,
                expires=entry.expires,
            )
        )
        evidence[message.sender] = (message.signature, log.proof(entry.index))
    if len(kept) < header.release_min:
        raise Abort(AbortReason.TOO_FEW_MEMBERS, f"{len(kept)} of at least {header.release_min}")
    # release_min is at least bucket_min, and a draw never makes a bucket smaller than that when it has the choice.
    buckets = assignment(header, randomness, members)
    lists = ListsRequest(header=header.hash(), randomness=randomness, buckets=buckets)
    dropped = tuple(sorted(message.sender for message in messages if uses[message.public_key] > 1))
    return Roster(header=header, lists=lists, evidence=evidence, dropped=dropped)
