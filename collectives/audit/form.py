"""Form: an answer's length, type and making are the same whatever a record holds, and the same twice.

Wallets with the columns' smallest, largest and mixed extreme values, with nothing, and with ordinary records compute in the sandbox's
function. Their answers must be finite float32 of one length, bit-equal when made again, made by one sequence of operations (names
and shapes as torch executes them), and equal to what the rest of the audit computes; clipped and rounded they are within the bound.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils._python_dispatch import TorchDispatchMode

from collectives.audit.answers import answers
from collectives.audit.parts import Figure, Part
from collectives.audit.subject import Subject
from collectives.audit.sums import protected, read
from collectives.training.net import compute_update

ORDINARY, CORNERS = 16, 8
SEED = bytes(32)
AGREE = 1e-3
"""Relative distance of the mapped computation, in float32 like the sandbox's, from the sandbox's."""


class _Trace(TorchDispatchMode):
    """The operations executed inside, with the shapes of what they gave."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.seen.append(f"{func}:{tuple(getattr(out, 'shape', ()))}")
        return out


def form(subject: Subject) -> Part:
    x, y = _records(subject)
    problems: list[str] = []
    apart = 0.0
    for name, weights in subject.checkpoints.items():
        rows, found = _made(subject, weights, x, y)
        problems += [f"{problem} ({name} weights)" for problem in found]
        if not found and not _private(subject):
            mapped = answers(subject.manifest, weights, x, y, subject.dice("form"))
            scale = np.abs(rows).max() or 1.0
            apart = max(apart, float(np.abs(mapped - rows).max() / scale))
    longest = 0.0 if problems else _longest(subject, x, y)
    return Part(
        name="form",
        title="Form of an answer",
        sentence=(
            f"{len(x)} wallets, most of them with extreme records, made their answer twice in the sandbox's own function; length, type, "
            "operations and bytes were compared."
        ),
        figures=(
            Figure(name="distance from the computation that is attacked", value=apart, limit=AGREE),
            Figure(
                name="longest answer after clip and rounding, in bounds",
                value=longest,
                limit=1.001,
                guess=1.0,
            ),
        ),
        problems=tuple(dict.fromkeys(problems)),
    )


def _private(subject: Subject) -> bool:
    return any(layer.op == "dropout" for layer in subject.manifest.layers)


def _records(subject: Subject) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    dice = subject.dice("form")
    x, y = subject.draw(dice, ORDINARY)
    low, high = x.min(axis=0), x.max(axis=0)
    corners = np.where(dice.coins(CORNERS, x.shape[1]), low, high)
    extreme = np.concatenate([x, low[None], high[None], np.zeros_like(low)[None], corners])
    return extreme.astype(np.float32), np.resize(y, (len(extreme), *y.shape[1:])).astype(np.float32)


def _made(
    subject: Subject, weights: NDArray[np.float32], x: NDArray[np.float32], y: NDArray[np.float32]
) -> tuple[NDArray[np.float64], list[str]]:
    """Every wallet's answer and what is wrong with any of them."""
    rows, traces, problems = [], set(), []
    # Following every operation is slow where there are many local steps; the last ones are the extreme records.
    followed = range(len(x)) if subject.manifest.training.steps <= 10 else range(len(x) - 4, len(x))
    for i in range(len(x)):
        made = [compute_update(subject.manifest, weights, x[i : i + 1], y[i : i + 1], SEED)]
        with _Trace() if i in followed else nullcontext() as trace:
            made.append(compute_update(subject.manifest, weights, x[i : i + 1], y[i : i + 1], SEED))
        if trace is not None:
            traces.add(tuple(trace.seen))
        if made[0].tobytes() != made[1].tobytes():
            problems.append("an answer is not the same twice")
        if made[0].dtype != np.float32 or made[0].shape != (subject.length,):
            problems.append("an answer has another length or type than the manifest says")
        if not np.isfinite(made[0]).all():
            problems.append("an answer is not finite for some records, so that a refusal tells of the record")
        rows.append(made[0])
    if len(traces) > 1:
        problems.append("what is computed depends on the record")
    lengths = {row.shape for row in rows}
    stacked = np.stack(rows).astype(np.float64) if len(lengths) == 1 else np.zeros((0, 0))
    return stacked, problems


def _longest(subject: Subject, x: NDArray[np.float32], y: NDArray[np.float32]) -> float:
    """The largest norm that leaves a wallet, without noise and less the rounding, in clip bounds."""
    quiet, dice = subject.conditions.quiet(), subject.dice("form:clip")
    raw = answers(subject.manifest, subject.initial, x, y, dice)
    raw = np.concatenate([raw, raw * 1e6, dice.normal(4, subject.length) * 1e6])
    sent = protected(raw, quiet, dice)
    kept = np.array([read(row, 1, quiet, subject.length) for row in sent])
    rounding = np.sqrt(sent.shape[1]) / (1 << quiet.fraction_bits)
    return float(max(0.0, (np.linalg.norm(kept, axis=1).max() - rounding) / quiet.clip))
