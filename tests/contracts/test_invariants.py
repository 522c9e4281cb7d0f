"""The state machine over all contracts: it holds for ours, and it notices every fault planted on purpose."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.contracts.evm import Machine
from tests.contracts.model import ContractsMachine
from tests.contracts.sale_model import SalesMachine

MUTANTS = Path(__file__).parent / "mutants"
SOURCES = Path(__file__).parents[2] / "marketplace" / "settlement" / "contracts" / "src"
RULES = json.loads((MUTANTS / "rules.json").read_text(encoding="utf-8"))
# Noticed only after many calls: these wait for `make test-long`.
HIDDEN = {"order_reused", "no_grace", "anybody_closes_late", "anybody_settles"}
CALLS = int(os.environ.get("CSSI_FUZZ_CALLS", "100000"))
QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def plan(examples: int, steps: int, *, repeatable: bool) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=repeatable,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=[Phase.generate] if repeatable else [Phase.generate, Phase.shrink],
        suppress_health_check=QUIET,
    )


def test_our_contracts_keep_every_invariant() -> None:
    before = Machine.calls

    run_state_machine_as_test(SalesMachine, settings=plan(12, 50, repeatable=True))

    assert Machine.calls - before > 500


@pytest.mark.long
@pytest.mark.timeout(3_600)
def test_our_contracts_keep_every_invariant_for_long() -> None:
    """`make fuzz-contracts`; CSSI_FUZZ_CALLS sets how many calls at least."""
    before = Machine.calls
    while Machine.calls - before < CALLS:
        run_state_machine_as_test(SalesMachine, settings=plan(60, 60, repeatable=False))
        print(f"{Machine.calls - before} calls, every invariant kept", flush=True)


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param(rule, id=rule["name"], marks=[pytest.mark.long] if rule["name"] in HIDDEN else [])
        for rule in RULES
    ],
)
def test_a_planted_fault_is_noticed(rule: dict[str, str]) -> None:
    path = MUTANTS / f"{rule['name']}.json"
    machine = SalesMachine if rule["contract"] == "ModelSale" else ContractsMachine
    faulty = type("FaultyMachine", (machine,), {"overrides": {rule["contract"]: path}})

    with pytest.raises(AssertionError):
        run_state_machine_as_test(faulty, settings=plan(60, 50, repeatable=True))


@pytest.mark.parametrize("rule", RULES, ids=[rule["name"] for rule in RULES])
def test_a_mutant_is_made_from_the_source_of_today(rule: dict[str, str]) -> None:
    source = (SOURCES / f"{rule['contract']}.sol").read_text(encoding="utf-8")
    made = json.loads((MUTANTS / f"{rule['name']}.json").read_text(encoding="utf-8"))

    assert source.count(rule["find"]) == 1
    assert made["sourceHash"] == hashlib.sha256(source.encode()).hexdigest(), "run `make contracts`"
    assert {name: made[name] for name in rule} == rule
