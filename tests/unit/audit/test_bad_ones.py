"""Seeded bad algorithms: what the vocabulary refuses, what each part of the audit finds, and that it does not find it everywhere.

Every one of them and the whole catalogue run in `make audit-self-check`.
"""

from __future__ import annotations

import pytest

from collectives.audit.bad import PLAIN, bad, refused, seeded
from collectives.audit.ready import names, ready
from collectives.audit.run import PARTS, audit
from collectives.audit.selfcheck import lines
from collectives.audit.subject import subject
from collectives.terms.algorithm import parse_manifest
from collectives.terms.errors import TermsError

QUICK = ("fields", "ratio", "canaries", "sparsity")


def test_there_are_at_least_eight_and_every_attack_has_one() -> None:
    assert len(seeded()) >= 8
    found_by = {one.part for one in seeded()}
    assert found_by == set(PARTS)
    assert len({one.name for one in seeded()}) == len(seeded())


@pytest.mark.parametrize("want", list(refused()))
def test_the_vocabulary_has_no_word_for_it(want: str) -> None:
    with pytest.raises(TermsError):
        parse_manifest(dict(refused()[want]))


@pytest.mark.parametrize("name", [one.name for one in seeded() if one.part in QUICK])
def test_it_is_found_by_the_part_that_is_meant_to(name: str) -> None:
    one = bad(name)
    report = audit(one.subject(), only=(one.part,))
    assert not report.admitted and report.why() and report.score < 50


def test_a_plain_algorithm_passes_the_same_parts() -> None:
    report = audit(subject(PLAIN), only=QUICK)
    assert report.why() == [] and report.admitted
    assert [part.name for part in report.parts] == list(QUICK)
    assert report.score >= 50


def test_a_line_says_what_was_wanted_and_how_to_see_it_again() -> None:
    (line,) = lines(("noise-off",))
    assert line.good and line.wanted == "rejected by canaries" and line.came.startswith("rejected: ")
    assert line.command == "manage.py audit --bad noise-off --only canaries"


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_all_bad_ones_are_rejected_and_the_catalogue_is_admitted() -> None:
    found = list(lines())
    assert [f"{line.name}: {line.came}" for line in found if not line.good] == []
    assert len(found) == len(refused()) + len(seeded()) + len(names())


@pytest.mark.long
def test_figures_are_the_same_again() -> None:
    one, two = (audit(ready("ridge-regression")).to_json() for _ in range(2))
    assert one == two
