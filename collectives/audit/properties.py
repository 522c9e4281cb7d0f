"""Property inference: somebody knows a person's whole record but one field, sees one sum, and guesses the field.

The stricter form of inferring a property from an update (Melis et al. 2019, arXiv 1805.04049; Ganju et al. 2018 ask it of models): the
attacker knows everything else, and need only tell two values apart. Played for every input field and for what is predicted.
"""

from __future__ import annotations

from itertools import islice

import numpy as np
from numpy.typing import NDArray

from collectives.audit.answers import answers
from collectives.audit.bounds import auc_of_mu
from collectives.audit.games import Crowd
from collectives.audit.parts import Curve, Figure, Part
from collectives.audit.people import exchanged
from collectives.audit.subject import Subject

Weights = NDArray[np.float32]
PEOPLE, MOST_FIELDS = 32, 8
MOST_AUC = auc_of_mu(1.0)
"""0.76: no person is told from a released sum better than the noise floor promises of a tenth of an answer, μ = 1 (ADR 81)."""


def properties(subject: Subject) -> Part:
    made = subject.conditions
    consumer = _by_field(subject, made.release_min)
    worst = max(consumer, key=consumer.__getitem__)
    sizes = sorted({5, made.bucket_min, 100, made.release_min})
    by_size = {n: _by_field(subject, n, worst)[worst] for n in sizes if n != made.release_min}
    by_size[made.release_min] = consumer[worst]
    return Part(
        name="properties",
        title="One field of one person",
        sentence=(
            f"{PEOPLE} people of whom all but one field is known; one sum, two values to choose from, {len(consumer)} fields in turn. "
            f"The field that is told best is {worst}."
        ),
        figures=(
            Figure(
                name=f"right choices from a sum of {made.release_min:,} (the consumer's)",
                value=consumer[worst],
                limit=MOST_AUC,
                guess=0.5,
            ),
            Figure(
                name=f"right choices from a sum of {made.bucket_min:,} (the operator's)",
                value=by_size[made.bucket_min],
            ),
        ),
        curves=(
            Curve(
                title="Right choices about the field that is told best, by the size of the sum",
                x_label="wallets",
                labels=tuple(sizes),
                series=(
                    ("right", tuple(by_size[n] for n in sizes)),
                    ("limit", (MOST_AUC,) * len(sizes)),
                ),
            ),
        ),
    )


def _by_field(subject: Subject, wallets: int, only: str = "") -> dict[str, float]:
    """Right choices about every field in turn, or one, with others' answers at the last checkpoint."""
    weights = list(subject.checkpoints.values())[-1]
    x, y = subject.draw(subject.dice("properties"), PEOPLE)
    manifest, people = subject.manifest, subject.people
    crowd = Crowd(subject, weights, wallets)
    real, found = _raw(subject, weights, x, y), {}
    for name, other in islice(exchanged(manifest.inputs, people.spans, x), MOST_FIELDS):
        if only in ("", name):
            found[name] = crowd.play(real, _raw(subject, weights, other, y))
    for name, said in islice(exchanged(manifest.target, people.target_spans, y), MOST_FIELDS):
        if only in ("", name):
            found[name] = crowd.play(real, _raw(subject, weights, x, said))
    return found


def _raw(subject: Subject, weights: Weights, x: Weights, y: Weights) -> NDArray[np.float64]:
    return np.nan_to_num(answers(subject.manifest, weights, x, y, subject.dice("properties:seed")))
