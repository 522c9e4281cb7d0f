"""The seed's own example: who performs well in which job, from skills, preferences and characteristics.

No public data set holds job title, measured skills, preferences, characteristics, a manager evaluation and a peer review of one
person. So these people are **generated** from a seed and labelled as generated wherever they are shown. They follow a hidden rule
with noise: people of a title tend to have what it needs (three skills, a preference, three characteristics), and the more of that
they have, the higher the manager's and the peers' grade.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from collectives.training import catalogue
from marketplace.demo.datasets import Dataset, Record

TITLES = ("software developer", "data analyst", "account manager", "nurse", "electrician", "teacher")
SKILLS = (
    *("programming", "statistics", "writing", "negotiation", "planning", "first aid"),
    *("wiring", "presenting", "listening", "spreadsheets"),
)
PREFERENCES = (
    *("remote work", "team work", "night shifts", "travel", "fixed hours"),
    *("customer contact", "quiet office", "outdoor work"),
)
CHARACTERISTICS = (
    *("patient", "curious", "precise", "outgoing", "calm"),
    *("persistent", "creative", "independent"),
)
_SKILLS_EACH, _CHOSEN = 6, 5
PURPOSE = (
    "Learn which skills, preferences and characteristics go with good work in which job. "
    "Not for decisions about a person."
)


class _Stream:
    """Reproducible draws from SHA-256 in counter mode: the same people from the same seed on every machine."""

    def __init__(self, seed: int) -> None:
        self._blocks = self._words(seed)

    @staticmethod
    def _words(seed: int) -> Iterator[int]:
        counter = 0
        while True:
            block = hashlib.sha256(f"job-performance:{seed}:{counter}".encode()).digest()
            yield from (int.from_bytes(block[i : i + 4], "big") for i in range(0, 32, 4))
            counter += 1

    def below(self, count: int) -> int:
        return next(self._blocks) % count

    def bell(self) -> float:
        """Roughly normal, mean 0, σ 1 (sum of twelve uniforms)."""
        return sum(next(self._blocks) / 2**32 for _ in range(12)) - 6

    def choose(self, items: tuple[str, ...], count: int, *, likely: list[str]) -> list[str]:
        """`count` different items in random order; each of the `likely` ones is taken first with a chance of three quarters."""
        taken = [item for item in likely if self.below(4) < 3][:count]
        rest = [item for item in items if item not in taken]
        taken += [rest.pop(self.below(len(rest))) for _ in range(count - len(taken))]
        return [taken.pop(self.below(len(taken))) for _ in range(count)]


def requirement() -> dict[str, Any]:
    """The seed's data requirement: title, ≥ 5 skills with ≥ 1 measurement, 5 preferences, 5 characteristics, two grades 0..10."""
    grade = {"type": "integer", "minimum": 0, "maximum": 10, "x-feature": {"encode": "number"}}

    def chosen(title: str, values: tuple[str, ...]) -> dict[str, Any]:
        return {
            "type": "array",
            "title": title,
            "minItems": _CHOSEN,
            "uniqueItems": True,
            "items": {"type": "string", "enum": list(values)},
            "x-feature": {"encode": "multi-hot"},
        }

    measured = {
        "type": "array",
        "minItems": 1,
        "maxItems": 20,
        "items": {"type": "number", "minimum": 0, "maximum": 10},
    }
    skill = {
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "measurements"],
        "properties": {"name": {"type": "string", "enum": list(SKILLS)}, "measurements": measured},
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [
            "job_title",
            "skills",
            "preferences",
            "characteristics",
            "manager_evaluation",
            "peer_review",
        ],
        "properties": {
            "job_title": {
                "type": "string",
                "title": "job title",
                "enum": list(TITLES),
                "x-feature": {"encode": "one-hot"},
            },
            "skills": {
                "type": "array",
                "title": "skills",
                "minItems": 5,
                "x-unique-by": "name",
                "items": skill,
                "x-feature": {"encode": "mean-of-measurements"},
            },
            "preferences": chosen("preferences", PREFERENCES),
            "characteristics": chosen("characteristics", CHARACTERISTICS),
            "manager_evaluation": {**grade, "title": "manager evaluation"},
            "peer_review": {**grade, "title": "peer review"},
        },
    }


def manifest(required: dict[str, Any]) -> dict[str, Any]:
    """The seed's small net: from job title and grades to the skills, preferences and characteristics that go with them.

    Skills are grades from 0 to 1, the others yes or no, so that all have the same influence.
    """
    return catalogue.build(
        "skill-profile",
        required,
        inputs=["job_title", "manager_evaluation", "peer_review"],
        target=["skills", "preferences", "characteristics"],
        purpose=PURPOSE,
    )


def job_performance(*, people: int = 600, seed: int = 0) -> Dataset:
    """Generated people, four fifths with wallets and a fifth for the consumer's test."""
    stream = _Stream(seed)
    records = [_person(stream) for _ in range(people)]
    required = requirement()
    cut = people - people // 5
    return Dataset(
        name="job_performance",
        title="Skills for a job (generated people)",
        purpose="Learn which skills, preferences and characteristics go with good work in which job.",
        requirement=required,
        manifest=manifest(required),
        train=records[:cut],
        test=records[cut:],
        generated=True,
    )


def people(count: int, *, seed: int) -> list[Record]:
    """Generated people without anything around them."""
    stream = _Stream(seed)
    return [_person(stream) for _ in range(count)]


def _person(stream: _Stream) -> Record:
    title = stream.below(len(TITLES))
    wanted = _wanted(title)
    skills = {
        name: round(min(max(5 + 2 * stream.bell(), 0), 10), 1)
        for name in stream.choose(SKILLS, _SKILLS_EACH, likely=wanted["skills"])
    }
    characteristics = stream.choose(CHARACTERISTICS, _CHOSEN, likely=wanted["characteristics"])
    preferences = stream.choose(PREFERENCES, _CHOSEN, likely=wanted["preferences"])
    fit = _fit(wanted, skills, preferences, characteristics)
    return {
        "job_title": TITLES[title],
        "skills": [
            {"name": name, "measurements": [value, round(min(max(value + stream.bell() / 2, 0), 10), 1)]}
            for name, value in skills.items()
        ],
        "preferences": preferences,
        "characteristics": characteristics,
        "manager_evaluation": _grade(fit + stream.bell()),
        "peer_review": _grade(fit + stream.bell()),
    }


def _wanted(title: int) -> dict[str, list[str]]:
    """What a title needs, by field."""
    return {
        "skills": [SKILLS[(title * 3 + i) % len(SKILLS)] for i in range(3)],
        "preferences": [PREFERENCES[title]],
        "characteristics": [CHARACTERISTICS[(title * 2 + i) % len(CHARACTERISTICS)] for i in range(3)],
    }


def _fit(
    wanted: dict[str, list[str]], skills: dict[str, float], preferences: list[str], characteristics: list[str]
) -> float:
    """How well a person suits a title, on the grades' scale: the hidden rule of this generator."""
    ability = sum(skills.get(name, 3.0) for name in wanted["skills"]) / 3
    suits = len(set(wanted["characteristics"]) & set(characteristics))
    return 0.4 * ability + 1.6 * suits + 0.7 * (wanted["preferences"][0] in preferences) - 0.4


def _grade(value: float) -> int:
    return round(min(max(value, 0), 10))
