"""Membership: was this person among those the result was made of?

Of a trained model by the likelihood ratio attack (Carlini et al. 2022, "Membership Inference Attacks From First Principles", arXiv
2112.03570): sixteen jobs, each with a random half of the people, trained through the pipeline to the end; a person's loss under one
job is compared with losses under the jobs with and without that person. Answers are drawn independently of records, so a model that learns at
all learns these people. Of a released sum by the matched filter of `games`, for somebody who knows the whole record.

The model is judged, and so is the sum of an algorithm that releases sums as its result. From one sum of a training round somebody
who knows a person's whole record can often tell that it is in it; aggregate terms do not promise otherwise, so it is told.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import vmap

from collectives.audit.answers import answers
from collectives.audit.bounds import auc, auc_of_mu, found_at
from collectives.audit.games import Crowd
from collectives.audit.parts import Curve, Figure, Part
from collectives.audit.subject import Subject
from collectives.audit.sums import summed
from collectives.terms.algorithm import TRAINED
from collectives.training.net import forward, loss
from collectives.training.outcome import advance, begin

Floats = NDArray[np.float64]
SHADOWS, VISITS, COHORTS = 16, 3, 3
BUDGET = 100_000_000
"""Scalars through the pipeline, all shadow jobs together; long models get fewer jobs and visits."""
PEOPLE = 32
MODEL_AUC, MODEL_FOUND = 0.55, 0.03
SUM_AUC = auc_of_mu(1.0)
"""As for one field (`properties`)."""
RATE_MICRO = 200_000


def membership(subject: Subject) -> Part:
    released = _of_a_sum(subject, subject.conditions.release_min)
    sums = Figure(
        name=f"right choices from one sum of {subject.conditions.release_min:,}, whole record known",
        value=released,
        limit=None if subject.manifest.output.kind in TRAINED else SUM_AUC,
        guess=0.5,
    )
    sizes = sorted({20, 100, subject.conditions.release_min})
    curve = Curve(
        title="Told from one sum whether somebody is in it, whole record known",
        x_label="wallets",
        labels=tuple(sizes),
        series=(("right", tuple(_of_a_sum(subject, n) for n in sizes)), ("guessing", (0.5,) * len(sizes))),
    )
    if subject.manifest.output.kind not in TRAINED:
        return Part(
            name="membership",
            title="Membership",
            sentence=f"{PEOPLE} people, each in a released sum or not: somebody who knows their whole record chooses.",
            figures=(sums,),
            curves=(curve,),
        )
    inside, outside, jobs, wallets = _of_models(subject)
    return Part(
        name="membership",
        title="Membership",
        sentence=(
            f"{jobs} jobs over {wallets:,} wallets each, trained to the end; of {len(inside) + len(outside):,} pairs of a job and a person the "
            "person's loss says whether it took part."
        ),
        figures=(
            Figure(
                name="right choices from the final model",
                value=auc(inside, outside),
                limit=MODEL_AUC,
                guess=0.5,
            ),
            Figure(
                name="found at one false alarm in a hundred",
                value=found_at(inside, outside),
                limit=MODEL_FOUND,
                guess=0.01,
            ),
            sums,
        ),
        curves=(_roc(inside, outside), curve),
    )


def _of_a_sum(subject: Subject, wallets: int) -> float:
    """In or out of one sum: the person, or somebody else in the same place."""
    weights = list(subject.checkpoints.values())[-1]
    crowd, dice = Crowd(subject, weights, wallets), subject.dice("membership:sum")
    x, y = subject.draw(dice, PEOPLE)
    real = np.nan_to_num(answers(subject.manifest, weights, x, y, dice))
    return crowd.play(real, np.broadcast_to(crowd.mean, real.shape).copy())


def _of_models(subject: Subject) -> tuple[Floats, Floats, int, int]:
    """Likelihood ratios of people in and out, over all jobs; and how many jobs of how many wallets."""
    size = min(COHORTS * subject.conditions.release_min, max(60, BUDGET // (8 * subject.length)))
    each = max(1, size * subject.length)
    visits = max(1, min(VISITS, BUDGET // (SHADOWS * each)))
    jobs = max(8, min(SHADOWS, BUDGET // (visits * each)))
    dice = subject.dice("membership")
    x, y = subject.draw(dice, 2 * size)
    took, scores = np.zeros((jobs, 2 * size), dtype=bool), np.zeros((jobs, 2 * size))
    for job in range(jobs):
        members = dice.order(2 * size)[:size]
        took[job, members] = True
        weights = _job(subject, x[members], y[members], visits, job)
        scores[job] = -_losses(subject, weights, x, y)
    ratios = _ratios(scores, took)
    return ratios[took], ratios[~took], jobs, size


def _job(
    subject: Subject, x: NDArray[np.float32], y: NDArray[np.float32], visits: int, number: int
) -> NDArray[np.float32]:
    """The last checkpoint of a job whose cohorts pass over its wallets so many times."""
    dice, cohort = subject.dice(f"membership:{number}"), min(len(x), subject.conditions.release_min)
    state, rounds = begin(subject.manifest, subject.initial), max(1, visits * len(x) // cohort)
    queue: list[int] = []
    for _ in range(rounds):
        if len(queue) < cohort:
            queue += dice.order(len(x)).tolist()
        drawn, queue = queue[:cohort], queue[cohort:]
        raw = answers(subject.manifest, state.weights, x[drawn], y[drawn], dice)
        if not np.isfinite(raw).all():
            break
        mean = summed(raw, subject.conditions, dice) / cohort
        state = advance(
            subject.manifest,
            state,
            mean,
            wallets=cohort,
            noise=0.0,
            optimiser="adam",
            learning_rate_micro=RATE_MICRO,
            decay_rounds=rounds,
        )
    return state.weights


def _losses(
    subject: Subject, weights: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32]
) -> Floats:
    manifest, flat = subject.manifest, torch.from_numpy(np.array(weights))

    def cost(record: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        return loss(manifest, forward(manifest, flat, record[None]), answer[None])

    with torch.no_grad():
        return vmap(cost)(torch.from_numpy(x), torch.from_numpy(y)).double().numpy()


def _ratios(scores: Floats, took: NDArray[np.bool_]) -> Floats:
    """For every job and person log p(score | in) − log p(score | out), from the other jobs; one variance for everybody."""
    jobs = len(scores)
    found = np.zeros_like(scores)
    for job in range(jobs):
        rest = np.arange(jobs) != job
        s, t = scores[rest], took[rest]
        inside = np.where(t, s, 0.0).sum(axis=0) / np.maximum(t.sum(axis=0), 1)
        outside = np.where(~t, s, 0.0).sum(axis=0) / np.maximum((~t).sum(axis=0), 1)
        spread = np.where(t, s - inside, s - outside).std() + 1e-12
        known = t.any(axis=0) & (~t).any(axis=0)
        gap = (scores[job] - outside) ** 2 - (scores[job] - inside) ** 2
        found[job] = np.where(known, gap / (2 * spread**2), 0.0)
    return found


def _roc(inside: Floats, outside: Floats) -> Curve:
    marks = np.concatenate([[0.001, 0.003, 0.01, 0.03], np.linspace(0.05, 1.0, 20)])
    return Curve(
        title="Members found, by share of false alarms (final model)",
        x_label="share of others called members",
        labels=tuple(float(mark) for mark in marks),
        series=(
            ("found", tuple(found_at(inside, outside, float(mark)) if mark < 1 else 1.0 for mark in marks)),
            ("guessing", tuple(float(mark) for mark in marks)),
        ),
    )
