"""How well a collective learns, in one process and without cryptography.

    python -m tests.benchmarks.learning_sim [--data DIR | --case job-performance] [--algorithm NAME] [--wallets N] [--cohort C]
                                            [--rounds R] [--seed S]

Everything that touches a number is the system's own code: encoder, initial weights, gradient, the agent's output contract
(clip, quantise, noise floor), sums modulo 2³² per bucket, the server's step, the central yardstick. Only masks, sockets and
money are left out; secure aggregation gives the same sums bit for bit, which other tests show. The test split is looked at
once, after the last round: nothing here chooses a setting by it. Settings are compared with `--held-out`, which judges by every
fourth training record and leaves the test split alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, pstdev

from collectives.terms.algorithm import ONE_SHOT, parse_manifest
from collectives.terms.errors import TermsError
from collectives.training import catalogue
from marketplace.demo.datasets import Dataset, DatasetError, breast_cancer, folder
from marketplace.demo.job_performance import job_performance
from marketplace.demo.plan import Plan, PlanError, default_plan
from marketplace.demo.result import Metrics
from tests.benchmarks.learning.simple import Learned, held_out, learn


def _data(options: argparse.Namespace, seed: int) -> Dataset:
    data = _whole(options, seed)
    if options.algorithm:
        data = with_algorithm(data, options.algorithm)
    return held_out(data) if options.held_out else data


def with_algorithm(data: Dataset, name: str) -> Dataset:
    """The same people and answers with an algorithm of the catalogue."""
    asked = {field: data.manifest[field] for field in ("inputs", "target")}
    return replace(data, manifest=catalogue.build(name, data.requirement, **asked))


def _whole(options: argparse.Namespace, seed: int) -> Dataset:
    if options.data:
        return folder(options.data).limited(options.wallets)
    if options.case:
        people = options.wallets or 400
        return job_performance(people=people + people // 4, seed=seed).limited(people)
    return breast_cancer().limited(options.wallets)


def once(data: Dataset, plan: Plan) -> Plan:
    """One round of everybody where the algorithm needs no more: its wallets answer once."""
    if parse_manifest(data.manifest).output.kind not in ONE_SHOT:
        return plan
    return replace(plan, rounds=1, cohort=len(data.train))


def _plan(options: argparse.Namespace, data: Dataset) -> Plan:
    wallets = len(data.train)
    plan = default_plan(wallets, rounds=options.rounds, development_cohort=options.development_cohort)
    plan = once(data, plan)
    if options.cohort is not None:
        plan = replace(plan, cohort=options.cohort)
    if options.decay_after is not None:
        plan = replace(plan, decay_after_ppm=round(options.decay_after * 1e6))
    if options.learning_rate is not None:
        plan = replace(plan, learning_rate_micro=round(options.learning_rate * 1e6))
    return plan


def _line(name: str, runs: Sequence[Learned], pick: Callable[[Metrics], float]) -> str:
    found, central = [pick(run.federated) for run in runs], [pick(run.central) for run in runs]
    gap = mean(central) - mean(found)
    spread = f"± {pstdev(found):.4f} ({min(found):.4f} to {max(found):.4f})"
    return (
        f"  {name:9} {mean(found):.4f} {spread}   central {mean(central):.4f}   central − wallets {gap:+.4f}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="learning_sim", description=__doc__.splitlines()[0])
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--data", type=Path, help="a folder with data.csv.gz and schema.json")
    where.add_argument(
        "--case", choices=["job-performance"], help="the generated people of the seed's example"
    )
    parser.add_argument(
        "--algorithm",
        choices=[entry.name for entry in catalogue.entries() if entry.targets],
        help="of the catalogue, for the same fields (default: the data's own)",
    )
    parser.add_argument("--wallets", type=int, help="the first N training records (default: all)")
    parser.add_argument("--cohort", type=int, help="wallets per round (default: the plan's)")
    parser.add_argument("--rounds", type=int, help="default: the plan's")
    parser.add_argument("--learning-rate", type=float, help="of the server (default: the plan's)")
    parser.add_argument(
        "--decay-after",
        type=float,
        help="share of the rounds before that rate falls, 1: never (default: the plan's)",
    )
    parser.add_argument("--development-cohort", type=int, help="a labelled cohort below the minimum")
    parser.add_argument("--dropouts", type=float, default=0.0, help="share of each cohort that vanishes")
    parser.add_argument(
        "--held-out",
        action="store_true",
        help="judge by a quarter of the training records, not the test split",
    )
    parser.add_argument("--asked", action="store_true", help="over-select as a site does, and all come")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds in a row")
    options = parser.parse_args(arguments)
    runs = []
    try:
        for seed in range(options.seed, options.seed + options.seeds):
            data = _data(options, seed)
            plan = _plan(options, data)
            runs.append(learn(data, plan, seed=seed, dropouts=options.dropouts, asked=options.asked))
    except (DatasetError, PlanError, TermsError) as error:
        print(error, file=sys.stderr)
        return 2
    print(
        f"{data.name}{', ' + options.algorithm if options.algorithm else ''}: {len(data.train)} wallets, cohort {plan.cohort}, {plan.rounds} rounds, server {plan.optimiser} "
        f"{plan.learning_rate_micro / 1e6:g} falling after {plan.decay_after_ppm / 1e4:g} %, {runs[0].visits / len(data.train):.1f} visits a wallet, {len(runs)} seed(s), "
        f"noise floor {min(run.noise_floor for run in runs):.4f} × clip, {sum(run.seconds for run in runs):.0f} s"
    )
    for name, pick in (("accuracy", _accuracy), ("AUC", _auc), ("log-loss", _log_loss)):
        print(_line(name, runs, pick))
    return 0


def _accuracy(found: Metrics) -> float:
    return found.accuracy


def _auc(found: Metrics) -> float:
    return found.auc


def _log_loss(found: Metrics) -> float:
    return found.log_loss


if __name__ == "__main__":
    sys.exit(main())
