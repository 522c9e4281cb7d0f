"""What came of a case."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.chaos.books import Verdict


@dataclass(kw_only=True)
class Fault:
    """One thing that was broken."""

    case: str
    name: str
    survived: bool | None = None


@dataclass(kw_only=True)
class Outcome:
    """A case: one job with its faults. `missed`: faults for which the moment never came."""

    name: str
    sentence: str
    faults: list[Fault] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    seconds: float = 0.0
    rounds: str = ""
    not_possible: str = ""
