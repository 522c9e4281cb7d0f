"""Robust ways to combine bucket sums (Yin et al. 2018, arXiv 1803.01498, coordinate median and trimmed mean, over buckets).

A wallet's update is masked, so no rule can look at one. What a round has is the sum of every bucket of some fifty wallets; a bucket
with one wallet that ignores its bound is far from the others, and can be set aside as a whole.

| rule | releases |
|---|---|
| `sum` | all buckets |
| `filter` | all but those far from the coordinate median; the middle when more than half is |
| `norm`, `cosine` | all but those whose mean is too long, or points elsewhere |
| `median`, `trimmed` | per coordinate the middle of all buckets, or all but a fifth on each side |

What the consumer gets is always made of at least `least` wallets, in every coordinate: a bare median would be the value of one
bucket. So the middle is as many buckets wide as hold that many wallets.

Released sums keep the privacy of the bucket sums they are made from, and no more: which buckets are in depends on the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Sums = NDArray[np.int32] | NDArray[np.int64]
Floats = NDArray[np.float64]

RULES = ("sum", "filter", "norm", "cosine", "median", "trimmed")
FILTERS = ("filter", "norm", "cosine")
LEAST_BUCKETS = 5
"""With fewer there is no saying which of them are the odd ones: they are summed, whatever the rule."""
RATIO, FEW_COORDINATES = 5.0, 60.0
"""A distance beyond RATIO + FEW_COORDINATES / d² times the lower quartile of all stands out; in few coordinates distances spread more.

The quartile and not the median with its deviations: with buckets of 50 and one wallet in a hundred tampering, two buckets in five are
hit, and then half of all distances are not honest ones. How many stand out on Adult: docs/benchmarks/tampering-adult.md.
"""
DEVIATIONS, LEAST_ANGLE = 6.0, 0.2
"""Of cosines: median absolute deviations below the median, and no less than that."""
TRIMMED = 0.2
MOST_FLAGGED = 1 / 2
"""Beyond it nobody knows which half is honest; then the middle is taken."""
_COLUMNS = 1 << 16
"""Coordinates worked on at a time."""


@dataclass(frozen=True, kw_only=True)
class Combined:
    """What a round releases.

    `total`: int64 [d], a sum as of `count` wallets; `total / count` is the robust mean. `count`: the least number of wallets behind
    any coordinate. `flagged`: places of the buckets that stand out. `judged`: whether there were enough buckets to tell.
    """

    total: NDArray[np.int64] = field(repr=False)
    count: int
    flagged: tuple[int, ...] = ()
    judged: bool = False
    middle: bool = False
    """The middle of all buckets was taken, not the sum of those that do not stand out."""


def combine(sums: Sums, counts: Sequence[int], *, rule: str, least: int) -> Combined:
    """The round's sum from bucket sums [buckets, d] over so many wallets each.

    Args:
        least: wallets that every released coordinate must be made of (`release_min`).

    Raises:
        ValueError: an unknown rule, no bucket, or counts that do not fit.
    """
    wallets = np.asarray(counts, dtype=np.int64)
    if rule not in RULES:
        raise ValueError(f"the rule must be one of {', '.join(RULES)}")
    if sums.ndim != 2 or wallets.shape != (len(sums),) or not len(sums) or wallets.min() < 1:
        raise ValueError("every bucket needs one sum and at least one wallet")
    everyone = tuple(range(len(sums)))
    if rule == "sum" or len(sums) < LEAST_BUCKETS:
        return Combined(total=_sum(sums, everyone), count=int(wallets.sum()))
    flagged = outliers(sums, wallets, rule=rule)
    kept = tuple(place for place in everyone if place not in flagged)
    enough = int(wallets[list(kept)].sum()) >= least if kept else False
    if rule in FILTERS and enough and (rule != "filter" or len(flagged) <= MOST_FLAGGED * len(sums)):
        return Combined(
            total=_sum(sums, kept), count=int(wallets[list(kept)].sum()), flagged=flagged, judged=True
        )
    width = _width(wallets, rule=rule, least=least)
    count = int(np.sort(wallets)[:width].sum())
    return Combined(
        total=_middle(sums, wallets, width, count), count=count, flagged=flagged, judged=True, middle=True
    )


def outliers(sums: Sums, counts: NDArray[np.int64], *, rule: str = "filter") -> tuple[int, ...]:
    """Places of the buckets that stand out; by their distance from the coordinate median unless the rule looks elsewhere."""
    measures = _measures(sums, counts)
    if rule == "cosine":
        cosines = measures["cosine"]
        centre = float(np.median(cosines))
        spread = float(np.median(np.abs(cosines - centre)))
        low = cosines < min(centre - DEVIATIONS * spread, centre - LEAST_ANGLE)
        return tuple(int(place) for place in np.nonzero(low)[0])
    values = measures["norm" if rule == "norm" else "distance"]
    high = values > (RATIO + FEW_COORDINATES / sums.shape[1] ** 2) * float(np.quantile(values, 0.25))
    return tuple(int(place) for place in np.nonzero(high)[0])


def _measures(sums: Sums, counts: NDArray[np.int64]) -> dict[str, Floats]:
    """Per bucket: distance of its mean from the coordinate median, times √wallets since the mean of more lies nearer; length of the
    mean; cosine between it and the median. float64 [buckets] each."""
    buckets, d = sums.shape
    apart, length, along, middle = np.zeros(buckets), np.zeros(buckets), np.zeros(buckets), 0.0
    for start in range(0, d, _COLUMNS):
        means = sums[:, start : start + _COLUMNS] / counts[:, np.newaxis]
        centre = np.median(means, axis=0)
        apart += np.square(means - centre).sum(axis=1)
        length += np.square(means).sum(axis=1)
        along += means @ centre
        middle += float(centre @ centre)
    scale = np.sqrt(length * middle)
    return {
        "distance": np.sqrt(apart * counts),
        "norm": np.sqrt(length),
        "cosine": np.divide(along, scale, out=np.zeros(buckets), where=scale > 0),
    }


def _width(counts: NDArray[np.int64], *, rule: str, least: int) -> int:
    """How many buckets the middle is wide: `least` wallets whichever they are, and as even or odd as the number of buckets."""
    buckets = len(counts)
    enough = np.cumsum(np.sort(counts)) >= least
    narrow = int(np.argmax(enough)) + 1 if enough.any() else buckets
    wide = buckets - 2 * int(TRIMMED * buckets) if rule == "trimmed" else 1
    width = max(narrow, wide)
    return min(buckets, width + (buckets - width) % 2)


def _middle(sums: Sums, counts: NDArray[np.int64], width: int, count: int) -> NDArray[np.int64]:
    """Per coordinate the mean of the `width` middle bucket means, as a sum of `count` wallets."""
    buckets, d = sums.shape
    first, total = (buckets - width) // 2, np.empty(d, dtype=np.int64)
    for start in range(0, d, _COLUMNS):
        means = np.sort(sums[:, start : start + _COLUMNS] / counts[:, np.newaxis], axis=0)
        mean = means[first : first + width].mean(axis=0)
        total[start : start + _COLUMNS] = np.rint(mean * count).astype(np.int64)
    return total


def _sum(sums: Sums, places: Sequence[int]) -> NDArray[np.int64]:
    total = np.zeros(sums.shape[1], dtype=np.int64)
    for place in places:
        total += sums[place]
    return total
