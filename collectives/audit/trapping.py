"""Trap weights: what a consumer would read who could bring crafted weights into a round (see `checkpoints` for how they are made).

Cohorts of the smallest bucket answer at crafted weights; each unit of the planted layer, or each difference of neighbours, is divided by
its threshold's entry and gives a candidate. A person is recovered when a candidate is as near as `inversion` asks, and nobody who
was not there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from collectives.audit.answers import answers
from collectives.audit.bounds import POINTED_OUT, beyond_chance
from collectives.audit.checkpoints import Trap, before, planted, traps
from collectives.audit.conditions import Conditions
from collectives.audit.dice import Dice
from collectives.audit.inversion import NEAR, distances
from collectives.audit.parts import Curve, Figure, Part
from collectives.audit.subject import Subject
from collectives.audit.sums import summed

Floats = NDArray[np.float64]
BUCKETS = 10
MOST_RECOVERED = POINTED_OUT
"""Behind a wall that has to fall first, so it is the operator's limit and not the consumer's."""


@dataclass(frozen=True, kw_only=True)
class Caught:
    """`recovered`: people of whom nine tenths came back. `share`: how much came back of a person, strangers' part taken off."""

    recovered: float
    share: float


def trapping(subject: Subject) -> Part:
    made, size = subject.conditions, subject.conditions.bucket_min
    if planted(subject.manifest) is None:
        return Part(
            name="traps",
            title="Crafted weights",
            sentence="There is no learned layer with thresholds before an activation, so a trap has no place to be in.",
            figures=(Figure(name="recovered with crafted weights", value=0.0, limit=MOST_RECOVERED),),
        )
    sizes = sorted({1, min(5, size), size, 2 * size})
    noisy = {n: _caught(subject, made, n) for n in sizes}
    quiet = {n: _caught(subject, made.quiet(), n) for n in sizes}
    return Part(
        name="traps",
        title="Crafted weights",
        sentence=(
            f"{BUCKETS} sums of {size} wallets at imprint weights, and at sparse ones where the units are relus. No round begins with such weights; "
            "this is what the noise would still hold back."
        ),
        figures=(
            Figure(name="recovered with crafted weights", value=noisy[size].recovered, limit=MOST_RECOVERED),
            Figure(name="of a person, with crafted weights", value=noisy[size].share),
            Figure(name="recovered with crafted weights, without noise", value=quiet[size].recovered),
            Figure(name="of a person, with crafted weights, without noise", value=quiet[size].share),
        ),
        curves=(
            Curve(
                title="How much of a person comes back with crafted weights, by the size of the sum",
                x_label="wallets",
                labels=tuple(sizes),
                series=(
                    ("with noise", tuple(noisy[n].share for n in sizes)),
                    ("without noise", tuple(quiet[n].share for n in sizes)),
                ),
            ),
        ),
    )


def _caught(subject: Subject, conditions: Conditions, size: int) -> Caught:
    """Of the trap that catches most."""
    dice, public = subject.dice(f"traps:{size}"), subject.public[0]
    made = traps(subject.manifest, subject.initial, public, size, dice)
    found = [_of_a_trap(subject, conditions, trap, size, dice) for trap in made]
    return Caught(recovered=max(one.recovered for one in found), share=max(one.share for one in found))


def _of_a_trap(subject: Subject, conditions: Conditions, trap: Trap, size: int, dice: Dice) -> Caught:
    strangers = before(subject.manifest, trap.weights, subject.public[0], trap.layer)
    mean = strangers.mean(axis=0)
    spread = float(((strangers - mean) ** 2).sum(axis=1).mean()) or 1.0
    hits, stray, shares = 0, 0, []
    for _ in range(BUCKETS):
        x, y = subject.draw(dice, size)
        raw = np.nan_to_num(answers(subject.manifest, trap.weights, x, y, dice))
        candidates = _candidates(trap, summed(raw, conditions, dice))
        candidates = np.clip(candidates, strangers.min(axis=0), strangers.max(axis=0))
        inside = _apart(before(subject.manifest, trap.weights, x, trap.layer), candidates, spread)
        outside = _apart(strangers, candidates, spread)
        hits, stray = hits + int((inside <= NEAR).sum()), stray + int((outside <= NEAR).sum())
        shares.append(float(np.minimum(outside, 1.0).mean() - np.minimum(inside, 1.0).mean()))
    recovered = beyond_chance(hits, BUCKETS * size, stray, BUCKETS * len(strangers))
    return Caught(recovered=recovered, share=max(0.0, float(np.mean(shares))))


def _apart(seen: Floats, candidates: Floats, spread: float) -> Floats:
    """For each person the distance of the nearest candidate, 1 being as far as people are from the average."""
    made: Floats = distances(seen, candidates).min(axis=1) / spread
    return made


def _candidates(trap: Trap, total: Floats) -> Floats:
    """[units, width]: one per unit, or of an imprint of relus one between each two of them."""
    cut = trap.start + trap.units * trap.width
    rows, thresholds = total[trap.start : cut].reshape(trap.units, trap.width), total[cut : cut + trap.units]
    if trap.steps and trap.units > 1:
        rows, thresholds = np.diff(rows, axis=0), np.diff(thresholds)
    safe = np.where(np.abs(thresholds) < 1e-12, 1e-12, thresholds)
    made: Floats = rows / safe[:, None]
    return made
