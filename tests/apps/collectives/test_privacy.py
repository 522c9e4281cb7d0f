"""What a job promises: the floor where nothing is claimed, and noise that fits the wallets' own ledger where something is."""

from __future__ import annotations

import math
import uuid
from typing import Any

import numpy as np
import pytest

from aggregation.tampering import rules
from aggregation.wire import signing
from aggregation.wire.secret import Secret
from collectives.errors import CollectiveError
from collectives.services import privacy
from collectives.services.opening import parameters, terms_of
from collectives.services.plan import RULES, JobPlan
from collectives.terms.algorithm import output_length, parse_manifest
from tests.apps.collectives.conftest import Drive, Stage
from tests.apps.collectives.double import Roles, Script
from tests.unit.agent import documents
from wallets.agent.ledger import Budgets, Ledger, charge
from wallets.agent.refusals import Refusal

ROUNDS = pytest.mark.usefixtures("no_rest", "nothing_a_real_role_would_refuse")

MINIMA = {"bucket_min": 40, "release_min": 120}


def formal(stage: Stage) -> dict[str, Any]:
    return terms_of(stage.job(rounds=1)) | MINIMA | {"privacy_level": "formal"}


@pytest.mark.parametrize("enrolled, expected", [(0, 20), (44, 6), (11, 20), (1000, 2)])
def test_visits_follow_from_the_draw(stage: Stage, enrolled: int, expected: int) -> None:
    """Twenty rounds of 11 invited wallets each, least visited first."""
    job = stage.job(rounds=20)
    job.enrolled = enrolled

    assert privacy.visits_planned(job) == expected


@ROUNDS
def test_a_formal_job_ends_when_its_wallets_ledgers_are_full(
    stage: Stage, roles: Roles, drive: Drive
) -> None:
    """Twelve wallets take two visits each; a round came to nothing, and there is no room for a third one."""
    roles.enrolled, roles.scripts[2] = 12, Script(outcome="abandoned")
    terms = stage.collective.terms.first()
    terms.document = terms.document | {"privacy_level": "formal"}
    terms.save()
    job = drive(stage.job(rounds=2, plan=stage.plan(value_bits=24)))

    assert job.status == "privacy_exhausted", job.reason
    assert job.reason == "the privacy budgets of its wallets are used up"
    assert list(job.rounds.values_list("status", flat=True)) == ["posted", "abandoned"]


def test_coins_may_fall_more_often_than_turns_come(stage: Stage) -> None:
    """Twenty rounds at a chance of a quarter: five visits are expected, three standard deviations more are planned for."""
    job = stage.job(rounds=20, plan=stage.plan(poisson=True))
    job.enrolled = 44
    plan = JobPlan.from_json(job.plan)

    assert (plan.coin_ppm(44), plan.coin_ppm(5), plan.sought(), plan.invited()) == (250_000, 10**6, 11, 31)
    assert privacy.visits_planned(job) == math.ceil(5 + 3 * math.sqrt(5)) + 1 == 13
    assert stage.plan().coin_ppm(44) == 0
    found = privacy.statement_of(job, formal(stage))
    assert found is not None and found.visits == 13
    with pytest.raises(CollectiveError, match="a round may need 31"):
        stage.job(visits=30, plan=plan)


def test_an_adaptive_clip_is_for_updates_and_within_the_algorithms_bound(stage: Stage) -> None:
    job = stage.job(plan=stage.plan(clip_quantile_ppm=500_000))
    manifest, most = parse_manifest(stage.algorithm.manifest), 1_000_000
    assert privacy.clip_of(job, manifest) == most
    nobody = np.full(18, -0.1 / math.sqrt(1.01))  # every wallet was clipped: the bound cannot grow
    assert privacy.next_clip(job, manifest, nobody)[1] == most
    everybody = np.full(18, 0.1 / math.sqrt(1.01))
    update, clip = privacy.next_clip(job, manifest, everybody)
    assert update.tolist() == everybody[:17].tolist()
    assert clip == pytest.approx(most * math.exp(-0.1), rel=1e-4)
    job.checkpoints.update(clip_micro=clip)
    floor = privacy.mechanism_of(job, manifest, terms_of(job))
    assert (floor.clip_micro, floor.coordinates) == (clip, 18)
    assert math.sqrt(4) * floor.share_micro >= 0.1 * clip
    with pytest.raises(CollectiveError, match="clip_quantile_ppm must be"):
        JobPlan(cohort=100, clip_quantile_ppm=50_000)


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
