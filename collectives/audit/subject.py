"""What is audited: a manifest, the conditions it would run under, and people by chance."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from collectives.audit.checkpoints import trained
from collectives.audit.conditions import Conditions, weakest
from collectives.audit.dice import Dice
from collectives.audit.people import People, people_for
from collectives.terms.algorithm import TRAINED, Manifest, output_length, parse_manifest
from collectives.terms.canonical import canonical
from collectives.training.init import initial_weights

JOB = bytes(16)
PUBLIC = 1_000


@dataclass(frozen=True)
class Subject:
    """`label` pins the dice: manifest, conditions and whose records were drawn."""

    manifest: Manifest
    conditions: Conditions
    people: People

    @property
    def label(self) -> str:
        said = canonical(self.conditions.to_json())
        return hashlib.sha256(f"{self.manifest.hash}:{self.people.source}:".encode() + said).hexdigest()

    @property
    def length(self) -> int:
        """d: scalars of one answer."""
        return output_length(self.manifest)

    def dice(self, part: str) -> Dice:
        return Dice(f"{self.label}:{part}")

    def draw(self, dice: Dice, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return self.people.draw(dice, count)

    @cached_property
    def public(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A thousand people that everybody knows: how records are spread, and strangers to compare with."""
        return self.draw(self.dice("public"), PUBLIC)

    def under(self, conditions: Conditions) -> Subject:
        """The same algorithm and people under other conditions."""
        return replace(self, conditions=conditions)

    @cached_property
    def initial(self) -> NDArray[np.float32]:
        """The weights of a job's first round, as its public seed gives them."""
        return initial_weights(self.manifest, JOB)

    @cached_property
    def trained(self) -> NDArray[np.float32]:
        """Weights after some rounds through the pipeline: a model's first layers say nothing before its last one learned."""
        return trained(self.manifest, self.conditions, self.initial, self.draw, self.dice("trained"))

    @property
    def checkpoints(self) -> dict[str, NDArray[np.float32]]:
        """By name, those at which wallets may be asked; answers that do not depend on weights have one."""
        if self.manifest.output.kind not in TRAINED:
            return {"first": self.initial}
        return {"first": self.initial, "trained": self.trained}


def subject(
    document: Mapping[str, Any],
    requirement: Mapping[str, Any] | None = None,
    conditions: Conditions | None = None,
) -> Subject:
    """Raises:
    TermsError: the manifest is refused, or does not fit the requirement.
    """
    manifest = parse_manifest(dict(document))
    return Subject(manifest, conditions or weakest(manifest), people_for(manifest, requirement))
