"""Unmasking at the server: rebuild the survivors' self seeds and the lost wallets' mask seeds, and take the masks off.

Nothing is rebuilt before every needed secret has at least t shares, so a bucket that cannot finish learns nothing on the way.
The work is O(survivors + lost · neighbours) mask streams over one vector; memory is that vector and the resulting integers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import chain, combinations, islice

from aggregation.secagg import masking, shamir, vectors
from aggregation.secagg.errors import Abort, AbortReason
from aggregation.secagg.messages import ShareKeys, Survivors, Unmask
from aggregation.secagg.server.roster import Bucket
from aggregation.secagg.server.steps import check_survivors

MOST_TRIES = 1000
"""Subsets of shares tried before a secret is given up; bounds what one malicious wallet can cost, about 0.1 s."""

Piece = tuple[int, bytes]
"""Position of the holder, its share."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BucketSum:
    """What a bucket ends with."""

    sum: vectors.Integers = field(repr=False)
    """int64, shape (padded_d,): the sum of the survivors' updates; where it was made in place, of the ring's width."""
    count: int
    bad_shares: tuple[int, ...] = ()
    """Positions of wallets that sent wrong shares; the sum is right without them."""


def enough_to_unmask(
    bucket: Bucket, joined: Collection[int], survivors: Survivors, answered: Collection[int]
) -> bool:
    """Whether every needed secret can have t shares from those who answered, so that the phase may close early.

    Shares that never opened are not known here; `unmask` counts the shares themselves.
    """
    helpers = set(answered)
    return all(
        len(helpers.intersection(bucket.graph.neighbours(owner))) >= bucket.threshold
        for owner in _needed(bucket, joined, survivors)
    )


def _needed(bucket: Bucket, joined: Collection[int], survivors: Survivors) -> list[int]:
    """Owners of needed secrets: survivors, and lost wallets with a surviving neighbour (others left no mask in the sum)."""
    alive = set(survivors.positions)
    return [p for p in sorted(joined) if p in alive or alive.intersection(bucket.graph.neighbours(p))]


def unmask(
    bucket: Bucket,
    share_keys: Mapping[int, ShareKeys],
    joined: Collection[int],
    survivors: Survivors,
    unmasks: Mapping[int, Unmask],
    accumulator: vectors.Accumulator,
    *,
    executor: Executor | None = None,
    in_place: bool = False,
) -> BucketSum:
    """The sum of exactly the survivors' updates. Consumes the accumulator.

    Args:
        share_keys, unmasks: accepted messages by position.
        accumulator: the sum of exactly the survivors' masked inputs.
        executor: two or more threads to build masks on.
        in_place: the sum is the accumulator's own memory, as signed words of the ring: no vector is made beside it.

    Raises:
        Abort: below bucket_min, release_min or threshold; a secret that cannot be rebuilt (`culprits` says whose); or a sum
            whose count, checksum or range is wrong.
    """
    check_survivors(bucket, joined, survivors.positions)
    if survivors.total < bucket.header.release_min:
        raise Abort(AbortReason.BELOW_RELEASE_MIN)
    alive = set(survivors.positions)
    given = _by_owner(unmasks)
    pieces = {owner: given.get(owner, []) for owner in _needed(bucket, joined, survivors)}
    short = [owner for owner, found in pieces.items() if len(found) < bucket.threshold]
    if short:
        raise Abort(
            AbortReason.TOO_FEW_UNMASK, f"{len(short)} secrets have fewer than {bucket.threshold} shares"
        )
    rebuild = _Rebuild(bucket, share_keys, pieces)
    masks = [mask for owner in pieces for mask in _masks_of(rebuild, owner, alive)]
    words = accumulator.take()
    vectors.add_masks(words, masks, executor)
    decode = vectors.signed_sum if in_place else vectors.decode_sum
    total = decode(bucket.header, words, len(alive))
    return BucketSum(sum=total, count=len(alive), bad_shares=tuple(sorted(rebuild.bad)))


def _by_owner(unmasks: Mapping[int, Unmask]) -> dict[int, list[Piece]]:
    """The shares of every owner, by ascending holder. Accepted messages hold shares of neighbours only."""
    found: dict[int, list[Piece]] = defaultdict(list)
    for holder in sorted(unmasks):
        for owner, share, _ in unmasks[holder].shares:
            found[owner].append((holder, share))
    return found


def _masks_of(rebuild: _Rebuild, owner: int, alive: Collection[int]) -> Iterator[vectors.Mask]:
    """A survivor's self mask, or what a lost wallet's surviving neighbours added for it, with the sign that takes it off."""
    if owner in alive:
        yield rebuild.self_seed(owner), -1
        return
    seeds = rebuild.mask_seeds(owner)
    for peer, seed in zip(rebuild.bucket.graph.neighbours(owner), seeds, strict=True):
        if peer in alive:
            yield seed, -1 if peer < owner else 1


class _Rebuild:
    """Rebuilds secrets, works around wrong shares where there are enough others, and remembers who sent them.

    All secrets are computed at once from the first t shares of each; what does not fit its commitment or box is tried again.
    """

    def __init__(
        self, bucket: Bucket, share_keys: Mapping[int, ShareKeys], pieces: Mapping[int, list[Piece]]
    ) -> None:
        """`pieces`: of every needed secret at least t."""
        self.bucket = bucket
        self._share_keys = share_keys
        self._pieces = pieces
        self._salt = bucket.header.hash()
        self.bad: set[int] = set()
        first = [self._points(owner, found[: bucket.threshold]) for owner, found in pieces.items()]
        self._first = dict(zip(pieces, shamir.combine_each(first), strict=True))

    def self_seed(self, owner: int) -> bytes:
        commitment, key = self._share_keys[owner].commitment, self.bucket.members[owner].job_key

        def fits(seed: bytes) -> bool:
            return masking.self_seed_fits(seed, commitment, owner=key, salt=self._salt)

        return self._secret(owner, fits, AbortReason.BAD_SHARES)

    def mask_seeds(self, owner: int) -> list[bytes]:
        box, key = self._share_keys[owner].escrow, self.bucket.members[owner].job_key
        opened: list[bytes] | None = None

        def fits(kappa: bytes) -> bool:
            nonlocal opened
            opened = masking.open_escrow(
                kappa, box, owner=key, salt=self._salt, seeds=self.bucket.graph.degree
            )
            return opened is not None

        self._secret(owner, fits, AbortReason.BAD_ESCROW)
        assert opened is not None
        return opened

    def _secret(self, owner: int, fits: Callable[[bytes], bool], reason: AbortReason) -> bytes:
        """Raises:
        Abort: no tried subset of the shares fits; the owner is named, since its commitment or box may be the wrong one.
        """
        secret = self._first[owner]
        if fits(secret):
            return secret
        trusted_first = sorted(self._pieces[owner], key=lambda piece: piece[0] in self.bad)
        for chosen in _subsets(self._points(owner, trusted_first), self.bucket.threshold):
            secret = shamir.combine(chosen)
            if fits(secret):
                self._name_bad(owner, chosen)
                return secret
        raise Abort(reason, culprits=(owner,))

    def _points(self, owner: int, pieces: Iterable[Piece]) -> list[shamir.Share]:
        ranks = self.bucket.graph.ranks(owner)
        return [(ranks[holder], share) for holder, share in pieces]

    def _name_bad(self, owner: int, right: Sequence[shamir.Share]) -> None:
        for holder, share in self._pieces[owner]:
            if shamir.interpolate(right, self.bucket.graph.x_of(owner, holder)) != share:
                self.bad.add(holder)


def _subsets(points: Sequence[shamir.Share], size: int) -> Iterator[list[shamir.Share]]:
    """Subsets to try: runs, then the first ones with one or two left out; at most MOST_TRIES.

    So two wrong shares are always worked around where two more than the threshold arrived, for thresholds up to 40.
    """
    runs = (list(points[start : start + size]) for start in range(len(points) - size + 1))
    holes = (
        [point for i, point in enumerate(points[: size + count]) if i not in left_out]
        for count in (1, 2)
        if len(points) >= size + count
        for left_out in combinations(range(size + count), count)
    )
    yield from islice(chain(runs, holes), MOST_TRIES)
