"""A report is German for who reads German: every sentence that a part can write, read from the sources, and a real report's page."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone, translation

from collectives import audit_words
from collectives.audit.run import audit
from collectives.audit.subject import subject
from collectives.errors import CollectiveError
from collectives.models import Algorithm, Audit
from collectives.services import audits
from tests.apps import cast
from tests.apps.pages.test_reasons import examples
from tests.apps.pages.texts import ROOT

FOLDER = ROOT / "collectives" / "audit"
PARTS = (
    "canaries",
    "fields",
    "form",
    "inversion",
    "membership",
    "properties",
    "ratio",
    "sparsity",
    "trapping",
)
SHOWN = {
    "Figure": {"name"},
    "Curve": {"title", "x_label", "series"},
    "Part": {"title", "sentence", "problems"},
}
HELD = {"what", "problems"}
"""Names whose text goes into a sentence."""
GERMAN = {"Accept-Language": "de"}


def written(path: Path) -> Iterator[str]:
    """An example of everything a part writes for people; what is filled in is a 7."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Name(id=name), keywords=given) if name in SHOWN:
                for one in given:
                    if one.arg in SHOWN[name]:
                        yield from texts(one.value)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="problems"), attr="append"), args=[value]):
                yield from examples(value)
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in HELD:
                yield from examples(value)


def texts(node: ast.expr) -> Iterator[str]:
    """Also those of a tuple of lines, and of what a comprehension makes."""
    match node:
        case ast.Tuple(elts=parts):
            for part in parts:
                yield from texts(part)
        case ast.GeneratorExp(elt=made):
            yield from texts(made)
        case ast.Call(args=args):
            for one in args:
                yield from texts(one)
        case _:
            yield from examples(node)


@pytest.mark.parametrize("name", PARTS)
def test_every_sentence_of_a_part_has_german(name: str) -> None:
    rows = list(written(FOLDER / f"{name}.py"))
    assert len(rows) >= 4
    with translation.override("de"):
        english = [text for text in rows if any(c.isalpha() for c in text) and audit_words.said(text) == text]
    assert english == [], "collectives/audit_words.py lacks a pattern, or the catalogue its German"


def test_no_part_is_forgotten() -> None:
    from collectives.audit.run import PARTS as run

    assert {made.__module__.rsplit(".", 1)[-1] for made in run.values()} - {"run"} <= set(PARTS)
    assert len(run) == 10


def test_sentences_within_sentences_and_numbers_as_the_reader_writes_them() -> None:
    with translation.override("de"):
        assert audit_words.said("Form of an answer: an answer is not the same twice (trained weights)") == (
            "Form einer Antwort: eine Antwort ist beim zweiten Mal eine andere (trainierte Gewichte)"
        )
        assert audit_words.said("Records made back from a sum: R² at 20 wallets is 0.912, above 0.333") == (
            "Aus einer Summe zurückgewonnene Datensätze: R² bei 20 Wallets ist 0,912, über 0,333"
        )
        assert audit_words.said("right choices from a sum of 1,000 (the consumer's)") == (
            "richtige Wahlen aus einer Summe von 1.000 (die des Kunden)"
        )
        assert audit_words.said("Somebody's own words: kept") == "Somebody's own words: kept"


@pytest.mark.django_db(databases="__all__")
def test_a_real_report_is_read_in_german_and_its_file_stays_as_it_is() -> None:
    world = cast.world()
    made = audit(
        subject(cast.MANIFEST, cast.REQUIREMENT), only=("fields", "ratio", "sparsity"), command="again"
    )
    report = json.loads(json.dumps(made.to_json()))
    kept(world.algorithm, report)
    address = reverse("audit", args=[world.algorithm.manifest_hash])
    page = world.client("").get(address, headers=GERMAN).content.decode()
    for part in report["parts"]:
        with translation.override("de"):
            words = [part["title"], part["sentence"], *(figure["name"] for figure in part["figures"])]
            assert [audit_words.said(text) for text in words if audit_words.said(text) in plain(page)] == [
                audit_words.said(text) for text in words
            ]
        assert part["sentence"] not in plain(page)
    assert "Wallets, die herausragen, nach der Größe der Summe" in page
    file = world.client("").get(reverse("audit-file", args=[world.algorithm.manifest_hash]), headers=GERMAN)
    assert file.json() == report


@pytest.mark.django_db(databases="__all__")
def test_the_refusal_of_what_an_audit_rejects_is_german_to_its_end() -> None:
    world = cast.world()
    kept(world.algorithm, rejected(world.algorithm))
    with pytest.raises(CollectiveError) as refused:
        audits.check(world.algorithm)
    with translation.override("de"):
        assert "Verlangte Felder werden gebraucht: age wird verlangt und ändert nichts" in str(refused.value)
    with translation.override("en"):
        assert "Fields that are asked for are used: age is asked for and changes nothing" in str(
            refused.value
        )


def kept(algorithm: Algorithm, report: dict[str, Any]) -> None:
    Audit.objects.create(
        algorithm=algorithm,
        status="admitted" if report["admitted"] else "rejected",
        score=report["score"],
        report=report,
        finished_at=timezone.now(),
    )


def rejected(algorithm: Algorithm) -> dict[str, Any]:
    from collectives.audit.parts import Figure, Part

    part = Part(
        name="fields",
        title="Fields that are asked for are used",
        sentence="256 people exchanged one field after the other; every exchange must change answers.",
        figures=(Figure(name="fields without influence", value=1.0, limit=0.0),),
        problems=("age is asked for and changes nothing",),
    )
    return {
        "manifest_hash": algorithm.manifest_hash,
        "admitted": False,
        "score": 0,
        "why": [f"{part.title}: {sentence}" for sentence in part.why()],
        "parts": [part.to_json()],
        "command": "",
        "conditions": {"bucket_min": 20, "release_min": 100},
        "report_hash": "ab" * 32,
    }


def plain(page: str) -> str:
    return page.replace("&#x27;", "'").replace("&amp;", "&")
