"""ShareKeys, MaskedInput and ConsistencyCheck at the server, as pure functions of stored messages.

`accept_*` raise RemoteProtocolError for a message to drop; the round goes on. `close_*` and the answers raise Abort when the
bucket (or the round) cannot go on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from aggregation.secagg.errors import Abort, AbortReason, Fault, LocalProtocolError, RemoteProtocolError
from aggregation.secagg.messages import (
    Agreement,
    Consistency,
    ConsistencySet,
    EscrowShare,
    Header,
    MaskedClaim,
    MaskedInput,
    SelfShare,
    ShareBundle,
    ShareKeys,
    Survivors,
    SurvivorsRequest,
    Unmask,
)
from aggregation.secagg.messages.codec import verify
from aggregation.secagg.messages.lists import LABEL_SURVIVORS
from aggregation.secagg.messages.masked import Read
from aggregation.secagg.messages.phases import SEALED_SHARE_BYTES, SECRET_BYTES, TAG_BYTES
from aggregation.secagg.server.roster import Bucket, Roster, check_sender
from aggregation.wire import cbor

Positions = tuple[int, ...]


def accept_share_keys(
    bucket: Bucket, data: bytes, *, sender: bytes | None = None, trusted: bool = False
) -> ShareKeys:
    """Shares for exactly the sender's neighbours, an escrow box of the right size, under this bucket's list."""
    message = ShareKeys.from_bytes(data)
    check_sender(message.sender, sender)
    _check_header(bucket, message.header)
    position = bucket.position(message.sender)
    if message.lists_root != bucket.root:
        raise RemoteProtocolError(Fault.WRONG_LIST)
    if tuple(message.boxes) != bucket.graph.neighbours(position):
        raise RemoteProtocolError(Fault.WRONG_SHARES)
    if len(message.escrow) != bucket.graph.degree * SECRET_BYTES + TAG_BYTES:
        raise RemoteProtocolError(Fault.WRONG_SHARES, "the escrow box has the wrong size")
    if not trusted:
        message.verify_by(message.sender)
    return message


def close_share_keys(bucket: Bucket, positions: Collection[int]) -> Positions:
    """U1: those who shared and have at least t neighbours who did.

    Raises:
        Abort: fewer than bucket_min.
    """
    joined = bucket.graph.core(positions)
    if len(joined) < bucket.header.bucket_min:
        raise Abort(AbortReason.TOO_FEW_JOINED, f"{len(joined)} of at least {bucket.header.bucket_min}")
    return joined


def bundle_for(
    bucket: Bucket, share_keys: Mapping[int, ShareKeys], joined: Positions, position: int
) -> bytes:
    """The ShareBundle of a joined wallet: what its joined neighbours encrypted to it.

    Raises:
        RemoteProtocolError: the wallet did not join.
    """
    if position not in joined:
        raise RemoteProtocolError(Fault.STRANGER, "this wallet did not join in time")
    return bundles_for(bucket, share_keys, joined, (position,))[position]


def bundles_for(
    bucket: Bucket, share_keys: Mapping[int, ShareKeys], joined: Positions, positions: Sequence[int]
) -> dict[int, bytes]:
    """`bundle_for` several joined wallets, by position. The ciphertexts were checked when they came, so the messages are put
    together from them and from pieces encoded once."""
    empty = ShareBundle(header=bucket.header.hash(), bucket=bucket.index, joined=joined, shares=())
    _, parts = cbor.decode_map(empty.to_bytes())
    boxes = {owner: share_keys[owner].boxes for owner in joined}
    before = {owner: _before_box(owner) for owner in joined}
    bundles = {}
    for position in positions:
        rows = [
            before[owner] + boxes[owner][position]
            for owner in bucket.graph.neighbours(position)
            if owner in boxes
        ]
        bundles[position] = cbor.join({**parts, "shares": cbor.join_array(rows)})
    return bundles


@lru_cache(maxsize=4096)
def _before_box(owner: int) -> bytes:
    """The encoding of a row of a ShareBundle up to its ciphertext."""
    return cbor.encode([owner, bytes(SEALED_SHARE_BYTES)])[:-SEALED_SHARE_BYTES]


def accept_masked(
    bucket: Bucket,
    data: bytes,
    *,
    joined: Collection[int],
    sender: bytes | None = None,
    trusted: bool = False,
) -> MaskedInput:
    """A masked vector of the right size from a joined wallet."""
    message = MaskedInput.from_bytes(data)
    _check_masked(bucket, message, joined, sender)
    if len(message.y) != bucket.header.masked_bytes:
        raise RemoteProtocolError(Fault.WRONG_SIZE)
    if not trusted:
        message.verify_by(message.sender)
    return message


def accept_masked_pieces(
    bucket: Bucket, read: Read, *, joined: Collection[int], sender: bytes | None = None
) -> MaskedClaim:
    """`accept_masked` of a message that is read piece by piece."""
    claim = MaskedClaim.read(read, bucket.header.masked_bytes)
    _check_masked(bucket, claim, joined, sender)
    claim.verify_by(claim.sender)
    return claim


def _check_masked(
    bucket: Bucket, message: MaskedInput | MaskedClaim, joined: Collection[int], sender: bytes | None
) -> None:
    check_sender(message.sender, sender)
    _check_header(bucket, message.header)
    if bucket.position(message.sender) not in joined:
        raise RemoteProtocolError(Fault.STRANGER, "this wallet did not join in time")


def check_survivors(bucket: Bucket, joined: Collection[int], survivors: Collection[int]) -> None:
    """May these be unmasked? Everyone whose secret will be needed must have at least t surviving neighbours.

    Raises:
        LocalProtocolError: a survivor never joined.
        Abort: below bucket_min or below the threshold.
    """
    alive = set(survivors)
    if not alive.issubset(joined):
        raise LocalProtocolError(Fault.NOT_A_SUBSET)
    if len(alive) < bucket.header.bucket_min:
        raise Abort(AbortReason.BELOW_BUCKET_MIN, f"{len(alive)} of at least {bucket.header.bucket_min}")
    for owner in joined:
        helpers = len(alive.intersection(bucket.graph.neighbours(owner)))
        if helpers < bucket.threshold and (owner in alive or helpers):
            raise Abort(AbortReason.BELOW_THRESHOLD, f"a wallet has {helpers} of {bucket.threshold} helpers")


@dataclass(frozen=True, kw_only=True, eq=False)
class SurvivorStatement:
    """The survivors of all buckets with their total: signed once, then handed out per bucket."""

    header: Header
    body: SurvivorsRequest
    signature: bytes = b""

    def request(self) -> bytes:
        return self.body.to_bytes()

    def signed(self, signature: bytes) -> SurvivorStatement:
        """Raises:
        RemoteProtocolError: the signature is not the distributor's over these survivors.
        """
        verify(self.header.distributor_key, LABEL_SURVIVORS, self.body.signed_body(), signature)
        return replace(self, signature=signature)

    def for_bucket(self, index: int) -> Survivors:
        """Raises:
        LocalProtocolError: not signed yet, or the bucket has no survivors.
        """
        if not self.signature or not self.body.buckets[index]:
            raise LocalProtocolError(Fault.OUT_OF_ORDER, "these survivors are not signed, or there are none")
        return Survivors(
            header=self.body.header,
            lists_root=self.body.lists_root,
            bucket=index,
            buckets=len(self.body.buckets),
            positions=self.body.buckets[index],
            total=self.body.total,
            path=tuple(self.body.tree.proof(index)),
            root=self.body.tree.root,
            signature=self.signature,
        )


def close_masked(roster: Roster, survivors: Mapping[int, Sequence[int]]) -> SurvivorStatement:
    """U2 of every bucket that passed `check_survivors`; failed buckets are left out and count nothing.

    Raises:
        Abort: the total is below release_min; nobody is asked to reveal anything.
    """
    header = roster.header
    buckets = tuple(tuple(sorted(survivors.get(i, ()))) for i in range(len(roster.buckets)))
    body = SurvivorsRequest(header=header.hash(), lists_root=roster.root, buckets=buckets)
    if body.total < header.release_min:
        raise Abort(AbortReason.BELOW_RELEASE_MIN, f"{body.total} of at least {header.release_min}")
    if any(0 < len(positions) < header.bucket_min for positions in buckets):
        raise Abort(AbortReason.BELOW_BUCKET_MIN)
    return SurvivorStatement(header=header, body=body)


def accept_consistency(
    bucket: Bucket, survivors: Survivors, data: bytes, *, sender: bytes | None = None, trusted: bool = False
) -> Consistency:
    """A survivor's agreement to this survivor list."""
    message = Consistency.from_bytes(data)
    check_sender(message.sender, sender)
    _check_survivor(bucket, survivors, message.sender, message.header, message.survivors)
    if not trusted:
        message.verify_by(message.sender)
    return message


def consistency_for(
    bucket: Bucket, survivors: Survivors, consistencies: Mapping[int, Consistency], position: int
) -> bytes:
    """The ConsistencySet of a survivor: the agreements of its neighbours.

    Raises:
        Abort: fewer than t neighbours agreed, so this wallet would refuse to reveal.
    """
    peers = [peer for peer in bucket.graph.neighbours(position) if peer in consistencies]
    _check_agreeing(bucket, len(peers))
    return _consistency_set(bucket, survivors, consistencies, peers)


def consistency_sets(
    bucket: Bucket, survivors: Survivors, consistencies: Mapping[int, Consistency]
) -> dict[int, bytes]:
    """`consistency_for` every survivor that agreed, by position; each agreement is encoded once.

    Raises:
        Abort: as `consistency_for`.
    """
    _, parts = cbor.decode_map(_consistency_set(bucket, survivors, consistencies, ()))
    rows = {p: cbor.encode([p, message.signature]) for p, message in consistencies.items()}
    sets = {}
    for position in sorted(consistencies):
        agreeing = [rows[peer] for peer in bucket.graph.neighbours(position) if peer in rows]
        _check_agreeing(bucket, len(agreeing))
        sets[position] = cbor.join({**parts, "agreements": cbor.join_array(agreeing)})
    return sets


def _check_agreeing(bucket: Bucket, count: int) -> None:
    if count < bucket.threshold:
        raise Abort(AbortReason.TOO_FEW_AGREE, f"{count} of {bucket.threshold} neighbours")


def _consistency_set(
    bucket: Bucket, survivors: Survivors, consistencies: Mapping[int, Consistency], peers: Sequence[int]
) -> bytes:
    agreements = tuple([Agreement(p, consistencies[p].signature) for p in peers])
    return ConsistencySet(
        header=bucket.header.hash(),
        bucket=bucket.index,
        survivors=survivors.digest(),
        agreements=agreements,
    ).to_bytes()


def accept_unmask(
    bucket: Bucket,
    survivors: Survivors,
    joined: Collection[int],
    data: bytes,
    *,
    sender: bytes | None = None,
    trusted: bool = False,
) -> Unmask:
    """A survivor's shares: only of joined neighbours, of the kind this survivor list asks for.

    Shares may be missing: a wallet cannot give what never opened.
    """
    message = Unmask.from_bytes(data)
    check_sender(message.sender, sender)
    position = _check_survivor(bucket, survivors, message.sender, message.header, message.survivors)
    owners = [share.owner for share in message.shares]
    if not set(owners).issubset(bucket.graph.ranks(position)) or not set(owners).issubset(joined):
        raise RemoteProtocolError(Fault.STRANGER, "a share of a wallet that is no joined neighbour")
    asked = [SelfShare if owner in survivors.alive else EscrowShare for owner in owners]
    if list(map(type, message.shares)) != asked:
        raise RemoteProtocolError(Fault.WRONG_SHARES, "a share of the wrong kind")
    if not trusted:
        message.verify_by(message.sender)
    return message


def _check_header(bucket: Bucket, header: bytes) -> None:
    if header != bucket.header.hash():
        raise RemoteProtocolError(Fault.WRONG_ROUND)


def _check_survivor(bucket: Bucket, survivors: Survivors, sender: bytes, header: bytes, digest: bytes) -> int:
    _check_header(bucket, header)
    position = bucket.position(sender)
    if position not in survivors.alive:
        raise RemoteProtocolError(Fault.STRANGER, "this wallet is not among the survivors")
    if digest != survivors.digest():
        raise RemoteProtocolError(Fault.WRONG_LIST, "another survivor list")
    return position
