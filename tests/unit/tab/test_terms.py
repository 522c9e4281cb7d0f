"""Terms that name their algorithms: the tab's wallet says the same words as the Python agent, and refuses the same."""

from __future__ import annotations

from typing import Any

import pytest

from collectives.terms.algorithm import manifest_hash
from collectives.terms.description import Terms, terms_hash, words_for_agreement
from collectives.terms.errors import TermsError
from tests.unit.agent.documents import MANIFEST, Collective
from tests.unit.tab.node import Script

NAMED = {"manifest_hash": manifest_hash(MANIFEST), "name": "Who is ill", "purpose": "Predict illness."}


async def test_the_tab_reads_the_algorithms_of_the_terms_in_the_same_words() -> None:
    terms = Terms.parse(Collective(algorithms=[NAMED]).terms)
    words = list(words_for_agreement(terms))
    assert "By subscribing you agree to “Who is ill”, without another notice." in words
    async with Script("terms") as tab:
        said = await tab.ask("read", document=terms.document)
    assert said == {"hash": terms_hash(terms), "words": words}


CLASSES: list[dict[str, Any]] = [
    {"purpose": "Learn who is ill.", "max_parameters": 1_234_567},
    {"purpose": "Learn", "max_parameters": 5, "inputs": ["height"], "target": ["ill"], "outputs": ["mean"]},
]


@pytest.mark.parametrize("wanted", CLASSES)
async def test_the_tab_says_the_class_in_the_same_words(wanted: dict[str, Any]) -> None:
    terms = Terms.parse(Collective(algorithm_class=wanted).terms)
    async with Script("terms") as tab:
        said = await tab.ask("read", document=terms.document)
        assert said == {"hash": terms_hash(terms), "words": list(words_for_agreement(terms))}
        for wrong in ({}, wanted | {"inputs": []}, wanted | {"outputs": ["all"]}, wanted | {"x": 1}):
            assert "error" in await tab.ask("read", document={**terms.document, "algorithm_class": wrong})


async def test_names_of_other_algorithms_are_refused_by_both() -> None:
    document = Collective().terms
    wrong: list[list[Any]] = [
        [],
        [NAMED | {"manifest_hash": "00" * 32}],
        [NAMED, NAMED],
        [NAMED | {"name": ""}],
        ["name"],
        [NAMED | {"x": 1}],
    ]
    async with Script("terms") as tab:
        for algorithms in wrong:
            changed = {**document, "algorithms": algorithms}
            with pytest.raises(TermsError):
                Terms.parse(changed)
            assert "error" in await tab.ask("read", document=changed), algorithms
        assert "words" in await tab.ask("read", document=document)
