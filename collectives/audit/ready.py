"""The catalogue as subjects: every ready-made algorithm on a requirement with every encoding there is (`example.json`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from collectives.audit.subject import Subject, subject
from collectives.training import catalogue

INPUTS = ("age", "hours", "income", "smoker", "region", "habits")
TARGETS: Mapping[str, tuple[str, ...]] = {
    "linear-regression": ("satisfaction",),
    "ridge-regression": ("satisfaction",),
    "skill-profile": ("skills",),
}
"""What each predicts, when it is not whether somebody is ill."""


@cache
def requirement() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files(__package__).joinpath("example.json").read_text("utf-8"))
    return found


def names() -> list[str]:
    return [entry.name for entry in catalogue.entries()]


def ready(name: str) -> Subject:
    """Raises:
    TermsError: `unknown_algorithm`.
    """
    target = TARGETS.get(name, ("ill",)) if catalogue.entry(name).targets else ()
    document = catalogue.build(name, requirement(), inputs=INPUTS, target=target)
    return subject(document, requirement())
