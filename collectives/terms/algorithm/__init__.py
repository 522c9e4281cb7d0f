"""Algorithms are data: a JSON manifest from a closed vocabulary, never code.

A manifest names the requirement's fields it reads and predicts, a stack of layers from a closed list, a loss, how a wallet
trains, and what it sends back. Nothing in it can branch on data, change the shape of the answer or write anywhere. Unknown
names are refused, so an old wallet never half-understands a new manifest.

* `layers`: the operators, their limits and their parameters.
* `outputs`: the kinds of answer, how long each is, and the L2 norm it cannot exceed.
* `task`: how a field's values combine, are scaled and become inputs.
* `manifest`: the document as a whole.

docs/algorithms.md is the reference for people.
"""

from __future__ import annotations

from collectives.terms.algorithm.layers import (
    ACTIVATIONS,
    MAX_FROZEN,
    MAX_LAYERS,
    MAX_PARAMETERS,
    MAX_WIDTH,
    OPS,
    Block,
    Layer,
    stack,
)
from collectives.terms.algorithm.manifest import (
    LOSSES,
    VERSION,
    Manifest,
    layout,
    manifest_hash,
    model_hash,
    most_ratio,
    natural_bound,
    output_length,
    parameter_count,
    parse_manifest,
    question_hash,
    release_ratio,
    scalars,
)
from collectives.terms.algorithm.outputs import (
    EVALUATION,
    MAX_STEPS,
    ONE_SHOT,
    OUTPUTS,
    QUERIES,
    TRAINED,
    Output,
    Training,
    triangle,
)
from collectives.terms.algorithm.task import COMBINES, SCALES, Preparation

__all__ = [
    "ACTIVATIONS",
    "COMBINES",
    "EVALUATION",
    "LOSSES",
    "MAX_FROZEN",
    "MAX_LAYERS",
    "MAX_PARAMETERS",
    "MAX_STEPS",
    "MAX_WIDTH",
    "ONE_SHOT",
    "OPS",
    "OUTPUTS",
    "QUERIES",
    "SCALES",
    "TRAINED",
    "VERSION",
    "Block",
    "Layer",
    "Manifest",
    "Output",
    "Preparation",
    "Training",
    "layout",
    "manifest_hash",
    "model_hash",
    "most_ratio",
    "natural_bound",
    "output_length",
    "parameter_count",
    "parse_manifest",
    "question_hash",
    "release_ratio",
    "scalars",
    "stack",
    "triangle",
]
