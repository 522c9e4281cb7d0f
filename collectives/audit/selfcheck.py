"""Does the audit find what it should? The catalogue must be admitted, every seeded bad algorithm rejected by the part meant for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collectives.audit.bad import refused, seeded
from collectives.audit.ready import names, ready
from collectives.audit.run import Report, audit
from collectives.terms.algorithm import parse_manifest
from collectives.terms.errors import TermsError

COMMAND = "manage.py audit"


@dataclass(frozen=True, kw_only=True)
class Line:
    """One subject and what became of it. `command` makes it again; `report` is None for what the vocabulary refuses."""

    name: str
    wanted: str
    came: str
    good: bool
    command: str
    report: Report | None = None


def lines(only: Sequence[str] = (), started: Callable[[str], None] = lambda name: None) -> Iterator[Line]:
    """Bad ones first, as they take seconds; each as soon as it is known. `only`: names of subjects."""
    for want, document in refused().items():
        if not only or want in only:
            yield _refused(want, document)
    for one in seeded():
        if only and one.name not in only:
            continue
        started(one.name)
        command = f"{COMMAND} --bad {one.name} --only {one.part}"
        report = audit(one.subject(), only=(one.part,), command=command)
        yield Line(
            name=one.name,
            wanted=f"rejected by {one.part}",
            came="admitted" if report.admitted else "rejected: " + "; ".join(report.why()),
            good=not report.admitted,
            command=command,
            report=report,
        )
    for name in names():
        if only and name not in only:
            continue
        started(name)
        command = f"{COMMAND} --catalogue {name}"
        report = audit(ready(name), command=command)
        yield Line(
            name=name,
            wanted="admitted",
            came=f"admitted with {report.score}"
            if report.admitted
            else "rejected: " + "; ".join(report.why()),
            good=report.admitted,
            command=command,
            report=report,
        )


def _refused(want: str, document: Mapping[str, Any]) -> Line:
    try:
        parse_manifest(document)
    except TermsError as error:
        came, good = f"refused: {error}", True
    else:
        came, good = "accepted", False
    command = f'{COMMAND} --self-check "{want}"'
    return Line(name=want, wanted="refused by the vocabulary", came=came, good=good, command=command)
