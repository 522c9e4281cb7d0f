"""Who is in buckets that stand out, again and again? Evidence against one wallet over rounds, and what it proves.

Buckets are drawn afresh in every round, so a wallet that answers as agreed meets tampering ones by chance alone, and a tampering
one meets itself every time. Evidence is a bet against "this wallet is here by chance" (a test martingale: Shafer 2021, "Testing by
betting", JRSS A 184(2); Ville 1939 for the bound): after every visit the stake is multiplied by

    q / max(p, share)     its bucket stood out, `share` being the part of the round's wallets in such buckets
    (1 − q) / (1 − p)     it did not

averaged over several q, the chances with which a tampering wallet's bucket might stand out. p is the chance that a wallet shares
its bucket with one of the tampering wallets, these being at most `ASSUMED_PPM` of the round: exact, hypergeometric.

**Bound.** The stake of an honest wallet grows beyond 1/a with probability at most a, *over its whole life*, however often it is
looked at, and wherever this is true of every round, given all rounds before:

* tampering wallets do not choose whom they meet, however many they are: then its chance is at most `share`; or
* they do choose (they know the keys in their bucket), act together, and are no more than assumed: then its chance is at most p.

Both multipliers are linear in that chance and at most 1 on average at both ends of it, for every q ≥ p. The first time
a wallet's bucket stands out opens its account and is not counted in it, so nothing is kept about wallets to whom that never happened.

Assumed besides: one answer within the bound does not make a bucket stand out by itself (`rules.LEAST_RATIO`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

STAKES = (0.6, 0.75, 0.9, 0.97, 0.995)
"""Chances with which a tampering wallet's bucket stands out, all believed equally at first."""
FALSE_ACCUSATION = 1e-5
ASSUMED_PPM = 10_000
"""Tampering wallets of a round, per million, against whose choosing of victims the bound holds too."""
NANO = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Account:
    """Evidence against one wallet: ln of the stake for every q, in billionths and rounded down; 0 = nothing either way."""

    visits: int = 0
    hits: int = 0
    stakes: tuple[int, ...] = (0,) * len(STAKES)

    def after(self, *, hit: bool, share: float, chance: float) -> Account:
        """The account after one more judged round.

        Args:
            share: of the round's wallets in buckets that stood out.
            chance: p, see `together`.

        Raises:
            ValueError: a share or chance that is none, or a hit in a round without buckets that stood out.
        """
        if not (0 <= share <= 1 and 0 <= chance < 1) or (hit and share == 0):
            raise ValueError(
                "shares and chances lie between 0 and 1, and a hit needs a bucket that stood out"
            )
        stakes = tuple(
            known + _step(q, hit=hit, share=share, chance=chance)
            for known, q in zip(self.stakes, STAKES, strict=True)
        )
        return Account(visits=self.visits + 1, hits=self.hits + hit, stakes=stakes)

    @property
    def nano(self) -> int:
        """ln of the whole stake, in billionths, rounded down."""
        most = max(self.stakes)
        mean = sum(math.exp((one - most) / NANO) for one in self.stakes) / len(self.stakes)
        return most + math.floor(math.log(mean) * NANO) - 1

    @property
    def odds(self) -> float:
        """At most so many of all honest wallets ever have as much evidence against them as this one has now; 1 = nothing is said."""
        return min(1.0, math.exp(-self.nano / NANO))

    @property
    def accused(self) -> bool:
        return self.nano >= math.ceil(-math.log(FALSE_ACCUSATION) * NANO)


@lru_cache(maxsize=4096)
def _step(q: float, *, hit: bool, share: float, chance: float) -> int:
    if q < chance:
        return 0  # the bound needs q ≥ p: this bet stays out of the round
    factor = q / max(chance, share) if hit else (1 - q) / (1 - chance)
    return math.floor(math.log(factor) * NANO) - 1


@lru_cache(maxsize=1024)
def together(wallets: int, bucket: int, *, tampering_ppm: int = ASSUMED_PPM) -> float:
    """The chance that a wallet shares a bucket of `bucket` with any of the round's tampering wallets, rounded up.

    1 − C(n−1−c, m−1) / C(n−1, m−1), in exact integers.
    """
    others, tampering = wallets - 1, min(wallets - 1, -(-wallets * tampering_ppm // 1_000_000))
    mates = min(bucket, wallets) - 1
    alone, every = math.comb(others - tampering, mates), math.comb(others, mates)
    return min(1.0 - 1e-12, math.nextafter((every - alone) / every, 1.0))


def visits_needed(*, share: float, chance: float, most: int = 1000) -> int | None:
    """After how many visits a wallet whose bucket always stands out is accused, the one that opens its account included."""
    account = Account()
    for visit in range(2, most + 1):
        account = account.after(hit=True, share=share, chance=chance)
        if account.accused:
            return visit
    return None
