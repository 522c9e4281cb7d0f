"""What the distributor and the aggregator say no with is German where a page shows it, from every place that says it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.utils import translation

from marketplace import service_words
from marketplace.individuals import clients
from marketplace.reasons import said
from tests.apps.pages.test_reasons import examples
from tests.apps.pages.texts import ROOT

REFUSALS = {
    "wallets/distributor": {"DistributorError", "Malformed", "Unknown", "Conflict", "AggregatorDown"},
    "aggregation/server": {"AggregatorError", "Malformed", "Unknown", "Conflict"},
}
TO_WALLETS = {"answers.py", "ingest.py", "slots.py", "seats.py", "signing.py", "payouts.py", "consumers.py"}
"""What only a wallet's socket is told; its pages have words of their own for it."""


def refusals(folder: str) -> Iterator[tuple[str, str]]:
    """(file, example) of every refusal that one of our services may be given."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        if path.name in TO_WALLETS:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in REFUSALS[folder]:
                for text in examples(node.args[0]) if node.args else ():
                    yield str(path.relative_to(ROOT)), text


@pytest.mark.parametrize("folder", REFUSALS)
def test_every_refusal_of_a_service_has_german(folder: str) -> None:
    rows = list(refusals(folder))
    assert len(rows) > 30
    with translation.override("de"):
        english = [
            row
            for row in rows
            if row[1] in said(f"The job was refused (malformed): {row[1]} Nothing was charged.")
            or row[1] in said(f"Round 7 was refused (conflict): {row[1]}")
        ]
    assert english == [], "marketplace/service_words.py lacks a pattern, or the catalogue its German"


def test_no_pattern_is_left_over() -> None:
    """A sentence that was changed there is found here."""
    texts = {text for folder in REFUSALS for _, text in refusals(folder)} | {"The service answered 7."}
    spoken = {getattr(service_words.KNOWN.sentence(text), "pattern", text) for text in texts}
    assert set(service_words.PATTERNS) - spoken == set()


def answered(detail: str) -> str:
    refused = clients._refusal(httpx.Response(409, text=json.dumps({"code": "stopped", "detail": detail})))
    return str(refused)


def test_what_the_distributor_tells_a_person_is_in_their_language() -> None:
    sentence = "This subscription was stopped; subscribe again with a fresh key."
    with translation.override("de"):
        assert answered(sentence).startswith("Diese Teilnahme wurde beendet")
        assert answered("A mail holds at most 65536 bytes.") == "Eine Nachricht fasst höchstens 65.536 Bytes."
        assert answered("100 % their own words") == "100 % their own words"
    with translation.override("en"):
        assert answered(sentence) == sentence


def test_paths_of_the_list_exist() -> None:
    names = {path.name for folder in REFUSALS for path in Path(ROOT / folder).rglob("*.py")}
    assert names >= TO_WALLETS
