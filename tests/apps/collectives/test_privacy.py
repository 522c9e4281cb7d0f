"""What a job promises: the floor where nothing is claimed, and noise that fits the wallets' own ledger where something is."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from aggregation.tampering import rules
from aggregation.wire import signing
from aggregation.wire.secret import Secret
from collectives.errors import CollectiveError
from collectives.services import privacy
from collectives.services.opening import parameters, terms_of
from collectives.services.plan import RULES, JobPlan
from collectives.terms.algorithm import output_length, parse_manifest
from tests.apps.collectives.conftest import Stage
from tests.unit.agent import documents
from wallets.agent.ledger import Budgets, Ledger, charge
from wallets.agent.refusals import Refusal

MINIMA = {"bucket_min": 40, "release_min": 120}


def formal(stage: Stage) -> dict[str, Any]:
    return terms_of(stage.job(rounds=1)) | MINIMA | {"privacy_level": "formal"}


@pytest.mark.parametrize("enrolled, expected", [(0, 20), (44, 6), (11, 20), (1000, 2)])
def test_visits_follow_from_the_draw(stage: Stage, enrolled: int, expected: int) -> None:
    """Twenty rounds of 11 invited wallets each, least visited first."""
    job = stage.job(rounds=20)
    job.enrolled = enrolled

    assert privacy.visits_planned(job) == expected


def test_aggregate_terms_get_the_floor_and_no_claim(stage: Stage) -> None:
    job, terms = stage.job(rounds=5), terms_of(stage.job(rounds=1)) | MINIMA
    manifest = parse_manifest(stage.algorithm.manifest)

    floor = JobPlan.from_json(job.plan).noise_micro(manifest.output.clip_micro, 40)
    assert privacy.mechanism_of(job, manifest, terms).share_micro == floor
    assert privacy.statement_of(job, terms) is None
    assert "no epsilon is claimed" in privacy.promise(job, terms)


def test_bucket_sums_are_filtered_but_summed_where_the_consumers_epsilon_is_promised(stage: Stage) -> None:
    job, terms = stage.job(rounds=1), terms_of(stage.job(rounds=1)) | MINIMA

    assert privacy.rule_of(job, terms) == "filter"
    assert privacy.rule_of(job, terms | {"privacy_level": "formal"}) == "sum"
    job.plan = job.plan | {"rule": "median"}
    assert parameters(job, parse_manifest(stage.algorithm.manifest), bytes(32))["rule"] == "median"


def test_a_plan_names_a_rule_the_aggregator_knows() -> None:
    assert RULES == rules.RULES
    with pytest.raises(CollectiveError, match="rule must be one of sum, filter"):
        JobPlan(cohort=100, rule="krum")


def test_a_formal_jobs_noise_fits_the_wallets_own_ledger(stage: Stage) -> None:
    job, terms = stage.job(rounds=7), formal(stage)
    job.enrolled = 44
    manifest, plan = parse_manifest(stage.algorithm.manifest), JobPlan.from_json(job.plan)
    visits = privacy.visits_planned(job)
    header = documents.header(
        str(uuid.uuid4()),
        log_root=bytes(32),
        log_size=1,
        distributor_key=signing.public_key(Secret(b"d" * 32)),
        d=output_length(manifest),
        f=plan.fraction_bits,
        q=plan.value_bits,
        clip_micro=manifest.output.clip_micro,
        noise_micro=privacy.mechanism_of(job, manifest, terms).share_micro,
        bucket_min=40,
        release_min=120,
    )
    found: Ledger | Refusal = Ledger()
    taken = 0
    while isinstance(found, Ledger):
        found = charge(
            found, Budgets(), header=header, collective_id="c", job_id="j", formal=True, now=1_800_000_000
        )
        taken += isinstance(found, Ledger)

    assert taken == visits == 3
    assert found is Refusal.PRIVACY_BUDGET


def test_a_formal_job_states_both_epsilons_in_one_line(stage: Stage) -> None:
    job, terms = stage.job(rounds=4), formal(stage)
    found = privacy.statement_of(job, terms)

    assert found is not None
    assert 2.5 < found.operator <= privacy.FORMAL_EPSILON
    assert 0 < found.consumer < found.operator
    assert privacy.promise(job, terms).count("ε ≤") == 2
    assert f"{found.visits} visits" in privacy.promise(job, terms)
