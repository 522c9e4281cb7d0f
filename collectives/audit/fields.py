"""Fields: an answer depends on every field the manifest names. What is not used must not be asked for.

People exchange one field's columns with somebody else's; somebody's answer must change. The frame of a person (no field at all) cannot
be read, so undeclared fields need no test: an encoder hands over the declared columns and nothing else.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from collectives.audit.answers import answers
from collectives.audit.parts import Figure, Part
from collectives.audit.people import exchanged
from collectives.audit.subject import Subject

Floats = NDArray[np.float32]
PEOPLE = 48
NOTHING = 1e-5
"""Of an answer's size; what differs by less does not survive the rounding of any round."""


def fields(subject: Subject) -> Part:
    dice = subject.dice("fields")
    x, y = subject.draw(dice, PEOPLE)
    manifest, people, checkpoints = subject.manifest, subject.people, subject.checkpoints.values()
    tried = [(name, (other, y)) for name, other in exchanged(manifest.inputs, people.spans, x)]
    tried += [(name, (x, said)) for name, said in exchanged(manifest.target, people.target_spans, y)]
    unread = [
        name
        for name, other in tried
        if not any(_differs(subject, weights, (x, y), other) for weights in checkpoints)
    ]
    return Part(
        name="fields",
        title="Fields that are asked for are used",
        sentence=f"{PEOPLE} people exchanged one field after the other; every exchange must change answers.",
        figures=(Figure(name="fields without influence", value=float(len(unread)), limit=0.0),),
        problems=tuple(f"{name} is asked for and changes nothing" for name in unread),
    )


def _differs(
    subject: Subject, weights: Floats, one: tuple[Floats, Floats], other: tuple[Floats, Floats]
) -> bool:
    first = answers(subject.manifest, weights, *one, subject.dice("fields:seed"))
    second = answers(subject.manifest, weights, *other, subject.dice("fields:seed"))
    return bool(np.abs(first - second).max() > NOTHING * max(1e-12, np.abs(first).max()))
