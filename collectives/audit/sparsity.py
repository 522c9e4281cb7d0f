"""Sparsity: coordinates that only one wallet of a sum touches. Such a coordinate is that wallet's answer, noise aside.

An embedding of identifiers, bins as narrow as a person, or units that fire for few people give a sum places of one's own. For
every wallet of a smallest bucket the energy of its answer in coordinates that nobody else touches is compared with the noise on
them: from three σ on it stands out (a matched filter over known coordinates; Melis et al. 2019, "Exploiting Unintended Feature Leakage
in Collaborative Learning", arXiv 1805.04049, section 4, on embeddings that give their words away).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aggregation.privacy.clipping import clip
from collectives.audit.answers import answers
from collectives.audit.bounds import POINTED_OUT
from collectives.audit.parts import Curve, Figure, Part
from collectives.audit.subject import Subject

BUCKETS, STANDS_OUT = 20, 3.0
MOST_SINGLED_OUT = POINTED_OUT
NOTHING = 1e-9


def sparsity(subject: Subject) -> Part:
    size = subject.conditions.bucket_min
    sigma = subject.conditions.sigma(size)
    found = {name: _alone(subject, weights, size) for name, weights in subject.checkpoints.items()}
    worst = max(found.values(), key=lambda alone: _share(alone, sigma))
    sizes = (5, 10, 20, 50, 100)
    weights = next(weights for name, weights in subject.checkpoints.items() if found[name] is worst)
    by_size = [_share(_alone(subject, weights, n, 6), subject.conditions.sigma(max(n, size))) for n in sizes]
    return Part(
        name="sparsity",
        title="Places of one's own in a sum",
        sentence=(
            f"{BUCKETS} sums of {size} wallets each: what part of a wallet's answer lies where nobody else's does, and does it stand out "
            f"from the noise by {STANDS_OUT:g} σ?"
        ),
        figures=(
            Figure(
                name="wallets that stand out in places of their own",
                value=_share(worst, sigma),
                limit=MOST_SINGLED_OUT,
            ),
            Figure(name="wallets that would without noise", value=float((worst > NOTHING).mean())),
        ),
        curves=(
            Curve(
                title="Wallets that stand out, by the size of the sum",
                x_label="wallets",
                labels=sizes,
                series=(("share", tuple(by_size)), ("limit", (MOST_SINGLED_OUT,) * len(sizes))),
            ),
        ),
    )


def _share(alone: NDArray[np.float64], sigma: float) -> float:
    return float((alone > max(STANDS_OUT * sigma, NOTHING)).mean())


def _alone(
    subject: Subject, weights: NDArray[np.float32], size: int, buckets: int = BUCKETS
) -> NDArray[np.float64]:
    """The norm of each wallet's clipped answer over coordinates that nobody else of its sum touches."""
    dice, norms = subject.dice(f"sparsity:{size}"), []
    for _ in range(buckets):
        x, y = subject.draw(dice, size)
        raw = clip(np.nan_to_num(answers(subject.manifest, weights, x, y, dice)), subject.conditions.clip)
        touched = np.abs(raw) > NOTHING
        single = touched.sum(axis=0) == 1
        norms.append(np.sqrt((raw**2 * (touched & single)).sum(axis=1)))
    return np.concatenate(norms)
