"""The manifest as a whole, and what follows from it alone: its identity, its parameters, the length of a wallet's answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from collectives.terms import fields as f
from collectives.terms.algorithm.layers import MAX_PARAMETERS, MAX_WIDTH, Layer, parse_layers
from collectives.terms.algorithm.outputs import (
    ELM,
    EVALUATION,
    NO_TRAINING,
    ONE_SHOT,
    QUERIES,
    TRAINED,
    Output,
    Training,
    kind_of,
    parse_output,
    parse_training,
    triangle,
)
from collectives.terms.algorithm.task import Preparation, parse_task
from collectives.terms.canonical import digest, parse_json
from collectives.terms.errors import TermsError

VERSION = 1
LOSSES = ("mse", "bce-with-logits", "softmax-cross-entropy")
_QUERY = ("version", "name", "purpose", "inputs", "width_in", "output")
_MODEL = ("target", "width_out", "layers", "loss")
_FEATURES = ("random", "relu", "tanh", "sigmoid")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A checked manifest. A query has no target, layers, loss or training; these are then empty."""

    name: str
    purpose: str
    inputs: tuple[str, ...]
    width_in: int
    output: Output
    target: tuple[str, ...] = ()
    width_out: int = 0
    layers: tuple[Layer, ...] = ()
    loss: str = ""
    training: Training = NO_TRAINING
    task: Mapping[str, Preparation] = field(default_factory=dict)
    document: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def hash(self) -> str:
        """SHA-256 of the document's RFC 8785 form, hex: the algorithm's identity."""
        return manifest_hash(self.document)

    @property
    def features(self) -> int:
        """k: entries of φ, what statistics are sums of: the last layer's inputs (a query: the columns), and its constant 1."""
        if self.output.kind in QUERIES:
            return self.width_in + 1
        return self.layers[-1].width_in + self.layers[-1].bias


def manifest_hash(document: Mapping[str, Any]) -> str:
    return digest(document).hex()


def model_hash(manifest: Manifest) -> str:
    """Identity of the model alone, hex: equal for two algorithms whose checkpoints fit each other (train one, evaluate another)."""
    names = ("inputs", "width_in", "task", *_MODEL)
    return digest({name: manifest.document[name] for name in names if name in manifest.document}).hex()


def question_hash(manifest: Manifest) -> str:
    """Identity of what is asked of a wallet, hex: the same however the algorithm is called, clipped or solved."""
    unasked = ("version", "name", "purpose", "training", "output")
    output = {
        name: manifest.document["output"][name]
        for name in ("kind", "bins")
        if name in manifest.document["output"]
    }
    asked = {name: value for name, value in manifest.document.items() if name not in unasked}
    return digest(asked | {"output": output}).hex()


def parameter_count(manifest: Manifest) -> int:
    """Scalars of a checkpoint: the flat weight vector, or of a query its answer."""
    if manifest.output.kind in QUERIES:
        return output_length(manifest)
    return sum(layer.parameters for layer in manifest.layers)


def output_length(manifest: Manifest) -> int:
    """d: scalars in what a wallet sends, whatever its data is."""
    kind, bins, width, out = manifest.output.kind, manifest.output.bins, manifest.width_in, manifest.width_out
    if kind in TRAINED:
        return parameter_count(manifest)
    if kind == ELM:
        return triangle(manifest.features) + manifest.features * out
    if kind == EVALUATION:
        by_loss = {"mse": 4 * out, "bce-with-logits": (2 + 2 * bins) * out}
        return by_loss.get(manifest.loss, 2 + out * out)
    return {"mean": width, "histogram": width * bins}.get(kind, triangle(manifest.features))


def scalars(manifest: Manifest) -> int:
    """The size of an algorithm: its parameters or its answer, whichever is longer."""
    return max(parameter_count(manifest), output_length(manifest))


def natural_bound(manifest: Manifest) -> float | None:
    """The L2 norm that no honest answer of this kind exceeds, or None where there is none. A clip at it changes nothing."""
    kind, width, out = manifest.output.kind, manifest.width_in, manifest.width_out
    if kind in TRAINED:
        return None
    if kind == ELM:
        hidden = manifest.layers[:-1]
        bounded = not hidden or hidden[-1].op in ("tanh", "sigmoid")
        return math.sqrt(1 + out) if bounded else None
    if kind == EVALUATION:
        return math.sqrt({"mse": 4 * out, "bce-with-logits": 3 * out}.get(manifest.loss, 3))
    return 1.0 if kind == "covariance" else math.sqrt(width)


def release_ratio(manifest: Manifest, wallets: int) -> float:
    """ρ: scalars released in one sum over so many wallets, per wallet and field read. Above 1 a sum of exact statistics could be
    taken apart like equations with fewer unknowns than lines; see docs/algorithms.md."""
    return output_length(manifest) / (wallets * (len(manifest.inputs) + len(manifest.target)))


def most_ratio(manifest: Manifest) -> float:
    """ρ beyond which this kind of answer may only leave under formal privacy."""
    return 1.0 if manifest.output.kind in ONE_SHOT else 3.0


def layout(manifest: Manifest) -> tuple[tuple[int, int], ...]:
    """For each layer its (start, end) in the flat vector."""
    spans, start = [], 0
    for layer in manifest.layers:
        spans.append((start, start + layer.parameters))
        start += layer.parameters
    return tuple(spans)


def parse_manifest(document: Any) -> Manifest:
    """The manifest in a JSON object, or in its bytes.

    Raises:
        TermsError: `bad_manifest`, saying what is allowed instead.
    """
    if isinstance(document, bytes | str):
        document = parse_json(document)
    try:
        return _parse(document)
    except TermsError as error:
        raise TermsError("bad_manifest", "The manifest is refused: %(error)s", error=error) from error


def _parse(document: Any) -> Manifest:
    kind = kind_of(document)
    names = _QUERY if kind in QUERIES else (*_QUERY, *_MODEL)
    if kind not in (ELM, EVALUATION, *QUERIES):
        names = (*names, "training")
    if isinstance(document, Mapping) and "task" in document:
        names = (*names, "task")
    m = f.exactly(document, names, "A manifest")
    if type(m["version"]) is not int or m["version"] != VERSION:
        raise TermsError("bad_manifest", "version must be %(version)s.", version=VERSION)
    width_in = f.integer(m, "width_in", 1, MAX_WIDTH)
    inputs = _field_names(m, "inputs")
    model = {} if kind in QUERIES else _model(m, width_in)
    manifest = Manifest(
        name=f.text(m, "name", least=1, most=120),
        purpose=f.text(m, "purpose", least=1, most=500),
        inputs=inputs,
        width_in=width_in,
        output=parse_output(m["output"]),
        training=parse_training(m["training"]) if "training" in m else NO_TRAINING,
        task=parse_task(m["task"], (*inputs, *model.get("target", ()))) if "task" in m else {},
        document=m,
        **model,
    )
    _check(manifest)
    return manifest


def _model(m: Mapping[str, Any], width_in: int) -> dict[str, Any]:
    width_out = f.integer(m, "width_out", 1, MAX_WIDTH)
    return {
        "target": _field_names(m, "target"),
        "width_out": width_out,
        "layers": parse_layers(m["layers"], width_in, width_out),
        "loss": f.one_of(m, "loss", LOSSES),
    }


def _check(manifest: Manifest) -> None:
    """Rules across the parts of a manifest."""
    kind = manifest.output.kind
    if set(manifest.inputs) & set(manifest.target):
        raise TermsError("bad_manifest", "a field is both input and target.")
    if not 1 <= parameter_count(manifest) <= MAX_PARAMETERS:
        raise TermsError(
            "bad_manifest", "it must have 1 to %(max_parameters)s parameters.", max_parameters=MAX_PARAMETERS
        )
    if kind == "gradient" and manifest.training.steps != 1:
        raise TermsError("bad_manifest", "a gradient comes from exactly one step; use a delta for more.")
    if kind == ELM:
        _check_elm(manifest)
    if output_length(manifest) > MAX_PARAMETERS:
        raise TermsError(
            "bad_manifest",
            "a wallet's answer may hold %(max_parameters)s values at most.",
            max_parameters=MAX_PARAMETERS,
        )


def _check_elm(manifest: Manifest) -> None:
    """Only the last layer may learn, and its loss must be the one that sums solve."""
    if manifest.layers[-1].op != "linear" or any(x.op not in _FEATURES for x in manifest.layers[:-1]):
        raise TermsError(
            "bad_manifest",
            "elm-statistics solve one linear layer, behind none but %(features)s layers.",
            features=", ".join(_FEATURES),
        )
    if manifest.loss != "mse":
        raise TermsError("bad_manifest", "elm-statistics solve the loss mse.")


def _field_names(m: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = m[name]
    good = isinstance(value, list) and 1 <= len(value) <= 200 and len(set(map(str, value))) == len(value)
    if not good or not all(isinstance(item, str) and 0 < len(item) <= 120 for item in value):
        raise TermsError("bad_manifest", "%(name)s must list 1 to 200 different field names.", name=name)
    return tuple(value)
