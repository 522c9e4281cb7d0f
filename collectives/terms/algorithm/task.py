"""The task definition: how an algorithm wants a field's values combined and scaled before they become numbers.

The requirement says how a field becomes columns (`x-feature`); a manifest may say it differently for itself, by public constants
only. Nothing is fitted on anybody's data.

* `combine`: of a field of measurements, what stands for all of them.
* `scale`, `low_micro`, `high_micro`: t(x) from [t(low), t(high)] to [−1, 1] (a target: [0, 1]), x kept inside; t is the identity
  or log1p. Ends are in millionths and default to the requirement's.
* `bins_micro`: edges; the number also becomes a one-hot of its bin (inputs only).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collectives.terms import fields as f
from collectives.terms.errors import TermsError
from collectives.terms.sentences import Sentence

COMBINES = ("mean", "median", "minimum", "maximum", "last")
SCALES = ("linear", "log1p")
MICRO = 1_000_000
MOST_EDGES = 63
_NAMES = ("combine", "scale", "low_micro", "high_micro", "bins_micro")


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """One field's part; what is None is as the requirement says."""

    combine: str | None = None
    scale: str | None = None
    low_micro: int | None = None
    high_micro: int | None = None
    bins_micro: tuple[int, ...] | None = None


def parse_task(value: Any, fields: Sequence[str]) -> Mapping[str, Preparation]:
    """Raises:
    TermsError: a field the algorithm does not use, an unknown word, an empty range.
    """
    if not isinstance(value, Mapping) or not value:
        raise TermsError("bad_manifest", "task must say something about at least one field; leave it out.")
    strangers = [str(name) for name in value if name not in fields]
    if strangers:
        raise TermsError(
            "bad_manifest",
            "task names %(stranger)s, which is neither input nor target.",
            stranger=strangers[0],
        )
    return {name: _preparation(item, name) for name, item in value.items()}


def _preparation(value: Any, name: str) -> Preparation:
    said = [word for word in _NAMES if isinstance(value, Mapping) and word in value]
    m = f.exactly(value, said, Sentence("The task of %(name)s", name=name))
    if not said:
        raise TermsError("bad_manifest", "the task of %(name)s says nothing; leave it out.", name=name)
    ends = {end: f.integer(m, end, -f.LATEST) for end in ("low_micro", "high_micro") if end in m}
    if len(ends) == 2 and ends["low_micro"] >= ends["high_micro"]:
        raise TermsError("bad_manifest", "low_micro of %(name)s must be below high_micro.", name=name)
    return Preparation(
        combine=f.one_of(m, "combine", COMBINES) if "combine" in m else None,
        scale=f.one_of(m, "scale", SCALES) if "scale" in m else None,
        bins_micro=_edges(m["bins_micro"], name) if "bins_micro" in m else None,
        **ends,
    )


def _edges(value: Any, name: str) -> tuple[int, ...]:
    good = isinstance(value, list) and 1 <= len(value) <= MOST_EDGES
    edges = tuple(f.integer({"bins_micro": edge}, "bins_micro", -f.LATEST) for edge in value) if good else ()
    if not edges or list(edges) != sorted(set(edges)):
        raise TermsError(
            "bad_manifest",
            "bins_micro of %(name)s lists 1 to %(most_edges)s rising edges.",
            name=name,
            most_edges=MOST_EDGES,
        )
    return edges
