"""Who shares with whom inside a bucket: a complete graph, or a circulant one (each position with the k/2 before and after).

Positions come from the random draw of `messages.assignment`, so a circulant graph over positions is a uniformly random
one over wallets (Bell et al., CCS 2020, section 3.1). Everything here is a function of header and list size: every party
computes the same graph and nobody sends one.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from aggregation.secagg.messages import Header


class Graph:
    """An undirected regular graph on positions 0 … members − 1.

    Attributes:
        degree: neighbours of every position.
        threshold: t, the number of shares that rebuild a secret.
    """

    def __init__(self, header: Header, members: int) -> None:
        self.members = members
        self.degree = header.degree(members)
        self.threshold = header.threshold(members)

    @property
    def complete(self) -> bool:
        return self.degree == self.members - 1

    def neighbours(self, position: int) -> tuple[int, ...]:
        """Positions adjacent to this one, ascending."""
        return _neighbours(self.members, self.degree, position)

    def x_of(self, owner: int, holder: int) -> int:
        """Shamir's x of the share that `holder` keeps for `owner`: its 1-based rank among the owner's neighbours."""
        return self.ranks(owner)[holder]

    def ranks(self, owner: int) -> dict[int, int]:
        """`x_of` for every holder of the owner's shares. Shared: not to be changed."""
        return _ranks(self.members, self.degree, owner)

    def core(self, positions: Collection[int]) -> tuple[int, ...]:
        """The largest subset in which everyone has at least t neighbours; the others could never be unmasked."""
        left = set(positions)
        while True:
            weak = {p for p in left if len(left.intersection(self.neighbours(p))) < self.threshold}
            if not weak:
                return tuple(sorted(left))
            left -= weak


@lru_cache(maxsize=4096)
def _neighbours(members: int, degree: int, position: int) -> tuple[int, ...]:
    if degree == members - 1:
        return tuple(p for p in range(members) if p != position)
    half = degree // 2
    return tuple(sorted((position + step) % members for step in range(-half, half + 1) if step))


@lru_cache(maxsize=4096)
def _ranks(members: int, degree: int, owner: int) -> dict[int, int]:
    return {holder: rank for rank, holder in enumerate(_neighbours(members, degree, owner), start=1)}
