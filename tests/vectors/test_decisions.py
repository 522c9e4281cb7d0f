"""The published decisions are complete. `test_javascript` holds the tab's machine to them; `generate --check` the agent's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.vectors.decisions import BY_OTHERS
from wallets.agent.refusals import Refusal

TABLE: dict[str, Any] = json.loads((Path(__file__).parent / "decisions.json").read_text("utf-8"))


def test_the_table_reaches_every_refusal_of_the_machine() -> None:
    reached = {case["decision"].get("refusal") for case in TABLE["cases"]} - {None}
    assert reached == set(Refusal) - BY_OTHERS


def test_every_kind_of_input_and_of_decision_is_in_it() -> None:
    heard = {case["event"]["kind"] for case in TABLE["cases"]}
    said = {case["decision"]["kind"] for case in TABLE["cases"]}
    assert len(heard) == 8
    assert len(said) == 9
    assert len({(case["why"], case["event"]["kind"]) for case in TABLE["cases"]}) == len(TABLE["cases"])
