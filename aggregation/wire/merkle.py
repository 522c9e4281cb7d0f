"""Merkle trees of RFC 6962 section 2.1: the enrolment log of a job and commitments to records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from aggregation.wire.errors import BadProof

HASH_BYTES = 32


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class MerkleLog:
    """A frozen log: all levels are built once, every proof is then a walk upwards.

    A node without a right sibling moves up unchanged, which gives the same tree as RFC 6962's recursive split at the
    largest power of two.
    """

    def __init__(self, leaves: Iterable[bytes]) -> None:
        self._levels: list[list[bytes]] = [[leaf_hash(leaf) for leaf in leaves]]
        while len(self._levels[-1]) > 1:
            below = self._levels[-1]
            level = [node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)]
            if len(below) % 2:
                level.append(below[-1])
            self._levels.append(level)

    def __len__(self) -> int:
        return len(self._levels[0])

    @property
    def root(self) -> bytes:
        """32 bytes; of an empty log, the hash of nothing."""
        return self._levels[-1][0] if len(self) else hashlib.sha256(b"").digest()

    def proof(self, index: int) -> list[bytes]:
        """The audit path of a leaf, from its sibling upwards.

        Raises:
            IndexError: no such leaf.
        """
        if not 0 <= index < len(self):
            raise IndexError(index)
        path: list[bytes] = []
        for level in self._levels[:-1]:
            sibling = index ^ 1
            if sibling < len(level):
                path.append(level[sibling])
            index //= 2
        return path


def root(leaves: Iterable[bytes]) -> bytes:
    return MerkleLog(leaves).root


def inclusion_proof(leaves: Iterable[bytes], index: int) -> list[bytes]:
    return MerkleLog(leaves).proof(index)


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes
) -> None:
    """RFC 9162 section 2.1.3.2.

    Raises:
        BadProof: the leaf is not at this index of the log of this size and root.
    """
    if not 0 <= index < size:
        raise BadProof("the log has no leaf with this index")
    here, last, value = index, size - 1, leaf_hash(leaf)
    for sibling in proof:
        if last == 0:
            raise BadProof("the inclusion proof is too long")
        if here % 2 or here == last:
            value = node_hash(sibling, value)
            while here % 2 == 0 and here:
                here, last = here // 2, last // 2
        else:
            value = node_hash(value, sibling)
        here, last = here // 2, last // 2
    if last or value != expected_root:
        raise BadProof("the inclusion proof does not lead to the log's root")
