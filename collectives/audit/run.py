"""The whole audit: parts in order, the verdict, and a report that is pinned to the manifest's hash."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from collectives.audit.canaries import canaries
from collectives.audit.fields import fields
from collectives.audit.form import form
from collectives.audit.inversion import inversion
from collectives.audit.membership import membership
from collectives.audit.parts import Part
from collectives.audit.properties import properties
from collectives.audit.ratio import ratio
from collectives.audit.sparsity import sparsity
from collectives.audit.subject import Subject
from collectives.audit.trapping import trapping
from collectives.terms.canonical import digest

VERSION = 2
"""Counts up when a part, a limit or a draw changes: figures of two versions are not the same figures."""
PARTS: Mapping[str, Callable[[Subject], Part]] = {
    "form": form,
    "fields": fields,
    "ratio": ratio,
    "canaries": canaries,
    "canaries_formal": lambda subject: canaries(_formal(subject)),
    "sparsity": sparsity,
    "inversion": inversion,
    "traps": trapping,
    "properties": properties,
    "membership": membership,
}
"""In the order of their cost; a form that fails makes the rest meaningless, so the rest is left out then."""
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Report:
    """`command` reproduces every figure; with `--only PART` one part's."""

    subject: Subject
    parts: tuple[Part, ...]
    command: str

    @property
    def admitted(self) -> bool:
        return all(part.holds for part in self.parts)

    @property
    def score(self) -> int:
        """The mean of the judged parts' scores; at most 49 when one of them does not hold."""
        judged = [part.score for part in self.parts if part.judged]
        mean = round(sum(judged) / max(1, len(judged)))
        return mean if self.admitted else min(mean, 49)

    def why(self) -> list[str]:
        return [f"{part.title}: {sentence}" for part in self.parts for sentence in part.why()]

    def to_json(self) -> dict[str, Any]:
        """Everything but the time it took, so that the same subject gives the same document."""
        subject = self.subject
        document = {
            "version": VERSION,
            "manifest_hash": subject.manifest.hash,
            "name": subject.manifest.name,
            "kind": subject.manifest.output.kind,
            "records": subject.people.source,
            "conditions": subject.conditions.to_json(),
            "admitted": self.admitted,
            "score": self.score,
            "why": self.why(),
            "command": self.command,
            "parts": [part.to_json() for part in self.parts],
        }
        return document | {"report_hash": digest(document).hex()}


def audit(
    subject: Subject,
    *,
    only: Sequence[str] = (),
    command: str = "",
    progress: Progress = lambda name, done, of: None,
) -> Report:
    """All parts, or those named in `only`. `progress(part, done, of)` is called before each and at the end."""
    chosen = [name for name in PARTS if not only or name in only]
    made: list[Part] = []
    threads = torch.get_num_threads()
    # One thread: the models are small, and sums of several threads could differ in their last bits from run to run.
    torch.set_num_threads(1)
    try:
        for number, name in enumerate(chosen):
            progress(name, number, len(chosen))
            started = time.process_time()
            part = PARTS[name](subject)
            made.append(replace(part, seconds=time.process_time() - started))
            if name == "form" and part.problems:
                break
    finally:
        torch.set_num_threads(threads)
    progress("", len(chosen), len(chosen))
    return Report(subject=subject, parts=tuple(made), command=command)


def _formal(subject: Subject) -> Subject:
    """Under formal terms; conditions that say they are formal already are taken at their word."""
    if subject.conditions.epsilon is not None:
        return subject
    return subject.under(subject.conditions.formal(subject.manifest))
