"""`python -m aggregation.privacy …` computes again what a page states: both epsilons of a job, from the numbers that it is made of.

The job's page and its model card print the whole command.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from aggregation.privacy import budget
from aggregation.privacy.accounting import Coins, state
from aggregation.privacy.mechanism import Mechanism

WHOLE = {
    "clip-micro": "clip bound of a wallet's answer, in millionths",
    "share-micro": "σ of the noise that one wallet adds, in millionths",
    "coordinates": "numbers in an answer, after padding",
    "fraction-bits": "f: answers are rounded to units of 2^−f",
    "bucket-min": "wallets in the smallest sum that the aggregator reads",
    "release-min": "wallets in the smallest sum that is released",
    "visits": "how often one wallet is visited at most",
}


def main(words: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(words)
    mechanism = Mechanism(
        clip_micro=given.clip_micro,
        share_micro=given.share_micro,
        coordinates=given.coordinates,
        fraction_bits=given.fraction_bits,
    )
    coins = None
    if given.coin_ppm:
        coins = Coins(probability=given.coin_ppm / budget.MICRO, rounds=given.rounds, least=given.release_min)
    stated = state(
        mechanism,
        release_min=given.release_min,
        bucket_min=given.bucket_min,
        visits=given.visits,
        delta=given.delta,
        coins=coins,
    )
    print(stated.words())
    if given.held is not None:
        print(spent(mechanism, given.held, release_min=given.release_min, bucket_min=given.bucket_min))
    return 0


def spent(mechanism: Mechanism, visits: int, *, release_min: int, bucket_min: int) -> str:
    """What so many visits cost by the rule of the wallets' own ledgers."""
    each, released = mechanism.cost_micro(bucket_min), mechanism.cost_micro(release_min)
    if each is None or released is None:
        return "There is no noise, so nothing can be said."
    return (
        f"After {visits} visits, as wallets count: ε {budget.epsilon(visits * each):.2f} towards the operator of the aggregator, "
        f"ε {budget.epsilon(visits * released):.2f} towards the consumer and the chain, at δ = 1e-06."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m aggregation.privacy", description=__doc__)
    for name, words in WHOLE.items():
        parser.add_argument(f"--{name}", type=int, required=True, help=words)
    parser.add_argument("--coin-ppm", type=int, default=0, help="how likely a coin invites, in millionths")
    parser.add_argument("--rounds", type=int, default=0, help="rounds at most, where coins decide")
    parser.add_argument("--held", type=int, help="visits of the wallet that was visited most, so far")
    parser.add_argument("--delta", type=float, default=1e-6)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
