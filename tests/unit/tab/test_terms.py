"""Terms that name their algorithms: the tab's wallet says the same words as the Python agent, and refuses the same."""

from __future__ import annotations

from typing import Any

import pytest

from collectives.terms.algorithm import manifest_hash
from collectives.terms.description import Terms, terms_hash, words_for_agreement
from collectives.terms.errors import TermsError
from tests.unit.agent.documents import MANIFEST, Collective
from tests.unit.tab.node import Script
from tests.unit.tab.test_decisions import TABLE

NAMED = {"manifest_hash": manifest_hash(MANIFEST), "name": "Who is ill", "purpose": "Predict illness."}
POLICY = TABLE["cases"][0]["policy"]


def event(collective: Collective, **changes: Any) -> dict[str, Any]:
    envelope = collective.sign("terms", {**collective.terms, **changes})
    return {
        "kind": "OfferArrived",
        "collective_id": collective.id,
        "envelope": envelope,
        "permit": None,
        "now": 1_700_000_000,
    }


async def test_the_tab_reads_the_algorithms_of_the_terms_in_the_same_words() -> None:
    collective = Collective(algorithms=[NAMED])
    terms = Terms.parse(collective.terms)
    words = list(words_for_agreement(terms))
    assert "By subscribing you agree to “Who is ill”, without another notice." in words
    async with Script("decide") as tab:
        said = await tab.ask("decide", event=event(collective), policy=POLICY)
    assert said == {"kind": "AskHolder", "terms_hash": terms_hash(terms), "words": words}


@pytest.mark.parametrize(
    "algorithms",
    [
        [],
        [NAMED | {"manifest_hash": "00" * 32}],
        [NAMED, NAMED],
        [NAMED | {"name": ""}],
        ["name"],
        [NAMED | {"x": 1}],
    ],
)
async def test_names_of_other_algorithms_are_refused_by_both(algorithms: list[Any]) -> None:
    collective = Collective()
    with pytest.raises(TermsError):
        Terms.parse({**collective.terms, "algorithms": algorithms})
    async with Script("decide") as tab:
        said = await tab.ask("decide", event=event(collective, algorithms=algorithms), policy=POLICY)
    assert said["kind"] == "Refused"
