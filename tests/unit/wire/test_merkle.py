"""Merkle logs: the tree of RFC 6962, written a second time here from its recursive definition."""

from __future__ import annotations

import hashlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregation.wire import merkle
from aggregation.wire.errors import BadProof


def recursive_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + recursive_root(leaves[:k]) + recursive_root(leaves[k:])).digest()


@settings(max_examples=60)
@given(st.lists(st.binary(max_size=4), max_size=70))
def test_root_and_every_proof_agree_with_the_definition(leaves: list[bytes]) -> None:
    log = merkle.MerkleLog(leaves)
    assert log.root == merkle.root(leaves) == recursive_root(leaves)
    for index, leaf in enumerate(leaves):
        merkle.verify_inclusion(leaf, index, len(leaves), log.proof(index), log.root)


def test_a_changed_leaf_index_size_proof_or_root_is_refused() -> None:
    leaves = [bytes([i]) for i in range(11)]
    log = merkle.MerkleLog(leaves)
    proof = log.proof(4)
    for wrong in (
        (b"x", 4, 11, proof, log.root),
        (leaves[4], 5, 11, proof, log.root),
        (leaves[4], 4, 7, proof, log.root),
        (leaves[4], 4, 11, proof[:-1], log.root),
        (leaves[4], 4, 11, [*proof, bytes(32)], log.root),
        (leaves[4], 4, 11, proof[::-1], log.root),
        (leaves[4], 4, 11, proof, bytes(32)),
        (leaves[4], 11, 11, proof, log.root),
        (leaves[4], -1, 11, proof, log.root),
    ):
        with pytest.raises(BadProof):
            merkle.verify_inclusion(*wrong)


def test_there_is_no_proof_of_a_leaf_that_does_not_exist() -> None:
    for index in (-1, 3):
        with pytest.raises(IndexError):
            merkle.inclusion_proof([b"a", b"b", b"c"], index)
    assert merkle.inclusion_proof([b"a"], 0) == []


def test_a_hundred_thousand_leaves_take_no_noticeable_time() -> None:
    started = time.process_time()
    log = merkle.MerkleLog(i.to_bytes(4, "big") for i in range(100_000))
    merkle.verify_inclusion((77_777).to_bytes(4, "big"), 77_777, 100_000, log.proof(77_777), log.root)
    assert time.process_time() - started < 5
