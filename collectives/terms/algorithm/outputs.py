"""What a wallet may send back. Every kind is a vector of a length the manifest alone decides, made as a mean over the wallet's
records, clipped as one vector, noised and masked: there is no other way out.

* `gradient`: of the mean loss. `delta`: weights before minus after several local steps (federated averaging).
* `elm-statistics`: the sums from which the last linear layer is solved at once: φφᵀ and φtᵀ, φ the features before that layer.
  They are the whole regression when only the last layer learns (extreme learning machine, or plain ridge regression).
* `evaluation`: how good the delivered model is on this wallet's records: losses, right answers, scores in `bins`.
* `mean`, `histogram`, `covariance`: queries without a model, on the encoded columns.

A symmetric matrix travels as its upper triangle, row by row, off-diagonal entries times √2, so that the vector's norm is the
matrix's. Features carry 1/√k for k features, so φ has a norm of at most 1 when its entries lie in [−1, 1].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collectives.terms import fields as f

MAX_STEPS = 1000
TRAINED = ("gradient", "delta")
ELM, EVALUATION = "elm-statistics", "evaluation"
QUERIES = ("mean", "histogram", "covariance")
OUTPUTS = (*TRAINED, ELM, EVALUATION, *QUERIES)
ONE_SHOT = (ELM, *QUERIES)
"""Kinds that do not depend on the weights: a wallet answers each once, so that no two sums can be subtracted."""
MOST_BINS = 64


@dataclass(frozen=True, kw_only=True)
class Training:
    """How one wallet trains: `steps` local steps of SGD with `learning_rate_micro`/10^6 over all its records."""

    learning_rate_micro: int
    steps: int


NO_TRAINING = Training(learning_rate_micro=0, steps=0)


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a wallet sends, clipped to `clip_micro`/10^6 in L2 norm.

    `bins`: of a histogram, or of an evaluation's scores. `ridge_micro`: the penalty, in millionths, that the server adds
    when it solves `elm-statistics`.
    """

    kind: str
    clip_micro: int
    bins: int = 0
    ridge_micro: int = 0


def kind_of(document: Any) -> str:
    """The kind a document claims, before anything of it is checked; empty when it claims none."""
    output = document.get("output") if isinstance(document, Mapping) else None
    kind = output.get("kind") if isinstance(output, Mapping) else None
    return kind if isinstance(kind, str) else ""


def parse_training(value: Any) -> Training:
    m = f.exactly(value, ("learning_rate_micro", "steps"), "training")
    return Training(
        learning_rate_micro=f.integer(m, "learning_rate_micro", 1, 10_000_000),
        steps=f.integer(m, "steps", 1, MAX_STEPS),
    )


def parse_output(value: Any) -> Output:
    kind = kind_of({"output": value})
    more = {ELM: ("ridge_micro",), EVALUATION: ("bins",), "histogram": ("bins",)}.get(kind, ())
    m = f.exactly(value, ("kind", "clip_micro", *more), "output")
    return Output(
        kind=f.one_of(m, "kind", OUTPUTS),
        clip_micro=f.integer(m, "clip_micro", 1, 1_000_000_000),
        bins=f.integer(m, "bins", 2, MOST_BINS) if "bins" in more else 0,
        ridge_micro=f.integer(m, "ridge_micro", 0, 10**12) if "ridge_micro" in more else 0,
    )


def triangle(size: int) -> int:
    """Entries of the upper triangle of a symmetric matrix, diagonal included."""
    return size * (size + 1) // 2
