"""Gradient inversion: records made back from a sum, by somebody who knows the model, everybody's answers to predict, and the spread.

Two attacks, the better one counts. *Optimised* (Zhu, Liu, Han 2019, "Deep Leakage from Gradients", arXiv 1906.08935; Geiping et al. 2020,
arXiv 2003.14053): records within their public ranges are moved until their clipped answers add up to the sum, weighing the noise
against how people are spread (the maximum a posteriori). *Analytic* (Phong et al. 2017): in a layer that reads the columns
a unit's weight gradient divided by its threshold's is a record.

What is found is matched with the real people as well as can be, and with people who were not there; only what is better than for those
counts. R² is the share of what distinguishes people that came back; *recovered* means that nine tenths of one person did.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from collectives.audit.answers import answers, clipped, differentiable
from collectives.audit.bounds import OF_THREE, POINTED_OUT, beyond_chance
from collectives.audit.conditions import Conditions
from collectives.audit.parts import Curve, Figure, Part
from collectives.audit.subject import Subject
from collectives.audit.sums import summed

Floats = NDArray[np.float64]
MOST_R2 = OF_THREE
"""Towards either reader."""
MOST_RECOVERED, OPERATOR_RECOVERED = 0.01, POINTED_OUT
"""Towards a consumer, who reads sums of `release_min`, and towards the operator, who reads sums of `bucket_min` and signs for it."""
NEAR = 0.1
RESTARTS, STEPS, LEAST_STEPS = 2, 150, 40
WORK = 25_000_000
"""Scalars of answers an optimisation may make, all steps together."""
PEOPLE, MOST_HELD = 40, 2_000_000
"""How many people are attacked at every size of a sum (at least one sum)."""


@dataclass(frozen=True, kw_only=True)
class Found:
    r2: float
    recovered: float


def inversion(subject: Subject) -> Part:
    made = subject.conditions
    cohort = max(made.bucket_min, min(made.release_min, MOST_HELD // subject.length))
    sizes = sorted({1, min(5, made.bucket_min), made.bucket_min, cohort})
    noisy = {n: _worst(subject, made, n, restarts=RESTARTS if n == made.bucket_min else 1) for n in sizes}
    quiet = {n: _worst(subject, made.quiet(), n, restarts=1) for n in sizes}
    r2, recovered = _limits(made.bucket_min, sizes[-1])
    figures = [Figure(name=f"R² at {n} wallets", value=noisy[n].r2, limit=r2.get(n)) for n in sizes]
    figures += [
        Figure(name=f"recovered at {n} wallets", value=noisy[n].recovered, limit=recovered.get(n))
        for n in sizes
    ]
    figures += [
        Figure(name=f"recovered at {n} wallets without noise", value=quiet[n].recovered) for n in sizes
    ]
    return Part(
        name="inversion",
        title="Records made back from a sum",
        sentence=(
            f"Sums of {', '.join(str(n) for n in sizes)} wallets; judged at {made.bucket_min} for the operator and at {cohort} for a consumer, as "
            "fewer are never read. What holds a small sum back is the noise, so both are shown."
        ),
        figures=tuple(figures),
        curves=(
            Curve(
                title="R² of records made back, by the size of the sum",
                x_label="wallets",
                labels=tuple(sizes),
                series=(
                    ("with noise", tuple(noisy[n].r2 for n in sizes)),
                    ("without noise", tuple(quiet[n].r2 for n in sizes)),
                ),
            ),
        ),
    )


def _limits(bucket: int, release: int) -> tuple[dict[int, float], dict[int, float]]:
    """Limits on R² and on the share recovered, by the size of the sum; where both readers get the same sum the stricter holds."""
    return {bucket: MOST_R2, release: MOST_R2}, {bucket: OPERATOR_RECOVERED, release: MOST_RECOVERED}


def _worst(subject: Subject, conditions: Conditions, size: int, *, restarts: int) -> Found:
    found = [
        _attack(subject, weights, conditions, size, restarts) for weights in subject.checkpoints.values()
    ]
    return Found(r2=max(one.r2 for one in found), recovered=max(one.recovered for one in found))


def _attack(
    subject: Subject, weights: NDArray[np.float32], conditions: Conditions, size: int, restarts: int
) -> Found:
    dice = subject.dice(f"inversion:{size}")
    groups = max(1, PEOPLE // size)
    x, y = subject.draw(dice, groups * size)
    public = subject.public[0]
    strangers, _ = subject.draw(dice, groups * size)
    raw = answers(subject.manifest, weights, x, y, dice)
    if not np.isfinite(raw).all():
        return Found(r2=0.0, recovered=0.0)
    rows = raw.reshape(groups, size, -1)
    sums = np.stack([summed(group, conditions, dice) for group in rows])
    guesses = _optimised(subject, weights, conditions, sums, y, public, size, restarts)
    made = [guesses.reshape(groups, size, -1)]
    made += [
        more for more in (_analytic(subject, sums, public), _counted(subject, sums, size)) if more is not None
    ]
    spread = float(((x - public.mean(axis=0)) ** 2).sum(axis=1).mean()) or 1.0
    real = x.astype(np.float64).reshape(groups, size, -1)
    other = strangers.astype(np.float64).reshape(groups, size, -1)
    return _scored(made, real, other, public.astype(np.float64), spread)


def _scored(made: list[Floats], real: Floats, other: Floats, public: Floats, spread: float) -> Found:
    """The better attack, less what it would be right about people who were not in the sum."""
    r2, recovered = 0.0, 0.0
    for guesses in made:
        r2 = max(r2, _paired(guesses, real, spread) - max(0.0, _paired(guesses, other, spread)))
        hits = sum(_near(group, people, spread) for group, people in zip(guesses, real, strict=True))
        stray = sum(_near(group, public, spread) for group in guesses)
        people, strangers = real.shape[0] * real.shape[1], len(guesses) * len(public)
        recovered = max(recovered, beyond_chance(hits, people, stray, strangers))
    return Found(r2=r2, recovered=recovered)


def _paired(guesses: Floats, people: Floats, spread: float) -> float:
    """R² of each group's guesses [g, n, w] about its people [g, n, w], paired as well as can be; 0 for other numbers of guesses."""
    if guesses.shape[1] != people.shape[1]:
        return 0.0
    errors = []
    for group, persons in zip(guesses, people, strict=True):
        apart = distances(persons, group) / spread
        errors.append(apart[linear_sum_assignment(apart)].mean())
    return 1.0 - float(np.mean(errors))


def _near(guesses: Floats, people: Floats, spread: float) -> int:
    """How many people [n, w] have a guess [k, w] that is as near as `NEAR`."""
    return int((distances(people, guesses).min(axis=1) / spread <= NEAR).sum())


def distances(one: Floats, other: Floats) -> Floats:
    """Squared distances [n, k] of rows [n, w] and [k, w]."""
    squared = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None, :] - 2.0 * one @ other.T
    made: Floats = np.maximum(squared, 0.0)
    return made


def _optimised(
    subject: Subject,
    weights: NDArray[np.float32],
    conditions: Conditions,
    sums: Floats,
    y: NDArray[np.float32],
    public: NDArray[np.float32],
    size: int,
    restarts: int,
) -> Floats:
    """Records [groups·size, width] that explain the sums best. Where answers are counts, everybody is guessed to be the average."""
    flat, target = torch.from_numpy(np.array(weights)), torch.from_numpy(sums).float()
    known, mean = torch.from_numpy(y), torch.from_numpy(public.mean(axis=0))
    low, high = torch.from_numpy(public.min(axis=0)), torch.from_numpy(public.max(axis=0))
    reach, spread = (high - low).clamp(min=1e-6), torch.from_numpy(public.var(axis=0)).clamp(min=1e-3)
    quietest = 1e-3 * float(np.sqrt((sums**2).mean())) + 1e-6
    sigma = float(
        np.hypot(max(conditions.sigma(size), quietest), np.sqrt(size) / 2**conditions.fraction_bits / 3)
    )
    dice = subject.dice(f"inversion:start:{size}")

    def objective(free: torch.Tensor) -> torch.Tensor | None:
        x = low + reach * torch.sigmoid(free)
        rows = differentiable(subject.manifest, flat, x, known)
        if rows is None:
            return None
        total = clipped(rows, conditions.clip).view(len(target), size, -1).sum(dim=1)
        prior = (((x - mean) ** 2) / spread).sum()
        return ((total - target) ** 2).sum() / (2 * sigma**2) + prior / 2

    best, least = mean.repeat(len(y), 1).double().numpy(), float("inf")
    steps = max(LEAST_STEPS, min(STEPS, WORK // max(1, len(y) * subject.length)))
    for _ in range(restarts):
        centre = torch.logit(((mean - low) / reach).clamp(0.05, 0.95))
        start = centre + 0.5 * torch.from_numpy(dice.normal(len(y), len(mean))).float()
        found = _descend(objective, start, steps)
        if found is None:
            return best
        free, value = found
        if value < least:
            best, least = (low + reach * torch.sigmoid(free)).double().numpy(), value
    return best


def _descend(
    objective: Callable[[torch.Tensor], torch.Tensor | None], start: torch.Tensor, steps: int
) -> tuple[torch.Tensor, float] | None:
    """Adam with a rate that falls to a tenth; the last place, and the value one step before. None without an objective."""
    free, value = start.clone().requires_grad_(True), float("inf")
    adam = torch.optim.Adam([free], lr=0.2, betas=(0.9, 0.99), eps=1e-12)
    rate = torch.optim.lr_scheduler.LambdaLR(adam, lambda done: 1 - 0.9 * (done + 1) / steps)
    for _ in range(steps):
        cost = objective(free)
        if cost is None:
            return None
        (slope,) = torch.autograd.grad(cost, free)
        free.grad, value = torch.nan_to_num(slope), float(cost.detach())
        adam.step()
        rate.step()
    return free.detach(), value


def _analytic(subject: Subject, sums: Floats, public: NDArray[np.float32]) -> Floats | None:
    """[groups, units, width]: what each unit of a first linear layer with thresholds gives away; None without such a layer."""
    layers = subject.manifest.layers
    if (
        subject.manifest.output.kind not in ("gradient", "delta")
        or layers[0].op != "linear"
        or not layers[0].bias
    ):
        return None
    width, units = layers[0].width_in, layers[0].width_out
    rows = sums[:, : width * units].reshape(len(sums), units, width)
    thresholds = sums[:, width * units : width * units + units, None]
    safe = np.where(np.abs(thresholds) < 1e-12, 1e-12, thresholds)
    made: Floats = np.clip(rows / safe, public.min(axis=0), public.max(axis=0))
    return made


def _counted(subject: Subject, sums: Floats, size: int) -> Floats | None:
    """[groups, size, width] from a histogram: each column's values in order, at the middle of their bins. None for other kinds."""
    if subject.manifest.output.kind != "histogram":
        return None
    bins = subject.manifest.output.bins
    counts = np.maximum(sums.reshape(len(sums), -1, bins), 0.0)
    reached = np.cumsum(counts, axis=2) / np.maximum(counts.sum(axis=2, keepdims=True), 1e-12)
    ranks = (np.arange(size) + 0.5) / size
    place = (reached[:, :, None, :] < ranks[None, None, :, None]).sum(axis=3)
    made: Floats = (2.0 * (np.minimum(place, bins - 1) + 0.5) / bins - 1.0).transpose(0, 2, 1)
    return made
