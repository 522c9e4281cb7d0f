"""Reasons that rows keep are read in German, from every place that writes one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import translation

from aggregation.secagg.errors import Abort, AbortReason
from marketplace.reasons import PATTERNS, said
from marketplace.settlement import reverts
from tests.apps.pages.texts import ROOT

WRITERS = {"move": 2, "end": 2, "_settle_into": 2, "_abandon": 3, "_give_up": 1, "_expire": 3}
"""Calls whose argument is a reason that a row keeps."""
FILES = (
    "collectives/services/algorithms.py",
    "collectives/services/audits.py",
    "collectives/services/jobs.py",
    "collectives/services/rounds.py",
    "collectives/services/starting.py",
    "marketplace/jobs/services.py",
    "marketplace/settlement/orders.py",
    "marketplace/settlement/outbox.py",
    "marketplace/settlement/effects.py",
    "aggregation/server/services/results.py",
    "aggregation/server/services/steps.py",
)
KEYS = {"reason", "detail", "error", "subject"}
NAMES = {"reason", "told", "words"}
RETURNING = {"audits.py", "rounds.py", "starting.py", "outbox.py"}
"""Files whose functions hand a reason on."""
FILLED = {"which": "7 are needed", "who": "the consumer"}
OURS = ("tried before: ", "the second endpoint")
"""For the administrator, whose pages are English."""


def kept(path: Path) -> Iterator[tuple[int, str]]:
    """(line, example) of every reason a file writes."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        for value in places(node, path.name in RETURNING):
            yield from ((value.lineno, text) for text in examples(value))


def places(node: ast.AST, returning: bool) -> list[ast.expr]:
    """Where a reason stands: an argument, a value of a row, a name, what a function returns."""
    match node:
        case ast.Call():
            name = getattr(node.func, "id", None) or getattr(node.func, "attr", "")
            place = WRITERS.get(name, 99)
            return [*node.args[place : place + 1], *(w.value for w in node.keywords if w.arg in KEYS)]
        case ast.Dict():
            rows = zip(node.keys, node.values, strict=True)
            return [v for k, v in rows if isinstance(k, ast.Constant) and k.value in ("check", "detail")]
        case ast.Assign() if any(getattr(target, "id", "") in NAMES for target in node.targets):
            return [node.value]
        case ast.Tuple() if returning:
            return node.elts
        case ast.Return(value=ast.expr() as value) if returning:
            return [value]
    return []


def examples(node: ast.expr) -> Iterator[str]:
    """What the expression may be; what is filled in becomes a 7."""
    match node:
        case ast.Constant(value=str(text)) if text:
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(_part(part) for part in parts)
        case ast.Subscript(value=value):
            yield from examples(value)
        case ast.IfExp(body=one, orelse=other) | ast.BoolOp(values=[one, other]):
            yield from examples(one)
            yield from examples(other)


def _part(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    value = part.value if isinstance(part, ast.FormattedValue) else part
    return FILLED.get(getattr(value, "id", ""), "7")


@pytest.mark.parametrize("name", FILES)
def test_every_reason_that_is_written_is_read_in_german(name: str) -> None:
    rows = [row for row in kept(ROOT / name) if not row[1].startswith(OURS)]
    assert rows, f"{name} writes no reason any more: take it out of the list"
    with translation.override("de"):
        english = [row for row in rows if " " in row[1] and said(row[1]) == row[1]]
    assert english == [], "marketplace/reasons.py lacks a pattern, or the catalogue its German"


def test_every_reason_of_the_aggregator_with_and_without_its_numbers() -> None:
    with translation.override("de"):
        for reason in AbortReason:
            for detail in ("", "61 of at least 100"):
                english = str(Abort(reason, detail))
                german = said(
                    f"Round 7 stopped: {english} Nobody's data was revealed. Visits already proven are "
                    "paid; nothing else was charged."
                )
                assert german.startswith("Runde 7 endete: "), english
                assert reason.sentence not in german
                assert ("61 von mindestens 100" in german) == bool(detail)


def test_what_the_chain_says_about_money() -> None:
    words = reverts.WORDS["ERC20InsufficientBalance"]("0x" + "ab" * 20, 5 * 10**18, 7 * 10**18)
    with translation.override("de"):
        assert said(f"the chain reverted it: {words}. Nothing was moved.") == (
            "die Kette hat es zurückgewiesen: 0xababab… hat 5, und 7 sind nötig. Nichts wurde bewegt."
        )
        assert said("the permit was good until 04 May 2026 10:20:30 UTC") == (
            "die Erlaubnis galt bis 4. Mai 2026 10:20 UTC"
        )


def test_what_a_person_wrote_stays_as_it_is() -> None:
    with translation.override("de"):
        for text in ("The model forgot its maximum.", "Round trip", "", "Is it (maybe) wrong?"):
            assert said(text) == text


def test_english_is_what_the_row_says() -> None:
    with translation.override("en"):
        for pattern in PATTERNS:
            assert said(pattern) == pattern
