"""Algorithms are data: a JSON manifest from a closed vocabulary, never code.

A manifest names the requirement's fields it reads and predicts, a stack of layers from a closed list, a loss, how a wallet
trains, and what it sends back. Nothing in it can branch on data, change the shape of the answer or write anywhere. Unknown
names are refused, so an old wallet never half-understands a new manifest.

Parameters lie in one flat float32 vector, layer by layer in manifest order, each layer's weight row-major [out][in] and then
its bias. A `random` layer is frozen: its values come from a public seed and are not part of the vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from collectives.terms import fields as f
from collectives.terms.canonical import digest, parse_json
from collectives.terms.errors import TermsError

VERSION = 1
MAX_LAYERS, MAX_WIDTH, MAX_PARAMETERS, MAX_STEPS = 16, 4096, 2_000_000, 1000
ACTIVATIONS = ("relu", "tanh", "sigmoid")
LOSSES = ("mse", "bce-with-logits", "softmax-cross-entropy")
OUTPUTS = ("gradient", "delta")
OPS = ("linear", "random", "layernorm", "dropout", *ACTIVATIONS)


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer. `width_in` and `width_out` are resolved for every layer, also where the manifest need not say them."""

    op: str
    width_in: int
    width_out: int
    bias: bool = False
    seed: str = ""
    rate_micro: int = 0

    @property
    def parameters(self) -> int:
        if self.op == "linear":
            return self.width_in * self.width_out + (self.width_out if self.bias else 0)
        return 2 * self.width_out if self.op == "layernorm" else 0


@dataclass(frozen=True, kw_only=True)
class Training:
    """How one wallet trains: `steps` local steps of SGD with `learning_rate_micro`/10^6 over all its records."""

    learning_rate_micro: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class Output:
    """What a wallet sends: a gradient or a weight difference, clipped to `clip_micro`/10^6 in L2 norm."""

    kind: str
    clip_micro: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    name: str
    purpose: str
    inputs: tuple[str, ...]
    target: tuple[str, ...]
    width_in: int
    width_out: int
    layers: tuple[Layer, ...]
    loss: str
    training: Training
    output: Output
    document: Mapping[str, Any] = field(repr=False, compare=False)

    @property
    def hash(self) -> str:
        """SHA-256 of the document's RFC 8785 form, hex: the algorithm's identity."""
        return manifest_hash(self.document)


def manifest_hash(document: Mapping[str, Any]) -> str:
    return digest(document).hex()


def parameter_count(manifest: Manifest) -> int:
    """d: scalars in the flat weight vector."""
    return sum(layer.parameters for layer in manifest.layers)


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
        raise TermsError("bad_manifest", f"The manifest is refused: {error}") from error


def _parse(document: Any) -> Manifest:
    names = ("version", "name", "purpose", "inputs", "target", "width_in", "width_out", "layers", "loss")
    m = f.exactly(document, (*names, "training", "output"), "A manifest")
    if m["version"] != VERSION:
        raise TermsError("bad_manifest", f"version must be {VERSION}.")
    width_in, width_out = f.integer(m, "width_in", 1, MAX_WIDTH), f.integer(m, "width_out", 1, MAX_WIDTH)
    layers = _layers(m["layers"], width_in, width_out)
    manifest = Manifest(
        name=f.text(m, "name", least=1, most=120),
        purpose=f.text(m, "purpose", least=1, most=500),
        inputs=_field_names(m, "inputs"),
        target=_field_names(m, "target"),
        width_in=width_in,
        width_out=width_out,
        layers=layers,
        loss=f.one_of(m, "loss", LOSSES),
        training=_training(m["training"]),
        output=_output(m["output"]),
        document=m,
    )
    if set(manifest.inputs) & set(manifest.target):
        raise TermsError("bad_manifest", "a field is both input and target.")
    if not 1 <= parameter_count(manifest) <= MAX_PARAMETERS:
        raise TermsError("bad_manifest", f"it must have 1 to {MAX_PARAMETERS} parameters.")
    if manifest.output.kind == "gradient" and manifest.training.steps != 1:
        raise TermsError("bad_manifest", "a gradient comes from exactly one step; use a delta for more.")
    return manifest


def _field_names(m: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = m[name]
    good = isinstance(value, list) and 1 <= len(value) <= 200 and len(set(map(str, value))) == len(value)
    if not good or not all(isinstance(item, str) and 0 < len(item) <= 120 for item in value):
        raise TermsError("bad_manifest", f"{name} must list 1 to 200 different field names.")
    return tuple(value)


def _layers(value: Any, width_in: int, width_out: int) -> tuple[Layer, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_LAYERS:
        raise TermsError("bad_manifest", f"layers must list 1 to {MAX_LAYERS} layers.")
    layers: list[Layer] = []
    width = width_in
    for item in value:
        layers.append(_layer(item, width))
        width = layers[-1].width_out
    if width != width_out:
        raise TermsError(
            "bad_manifest", f"the last layer gives {width} values, but width_out says {width_out}."
        )
    return tuple(layers)


def _layer(item: Any, width: int) -> Layer:
    op = item.get("op") if isinstance(item, Mapping) else None
    if op not in OPS:
        raise TermsError("bad_manifest", f"a layer's op must be one of {', '.join(OPS)}.")
    if op == "linear":
        m = f.exactly(item, ("op", "out", "bias"), "A linear layer")
        return Layer(
            op=op, width_in=width, width_out=f.integer(m, "out", 1, MAX_WIDTH), bias=f.flag(m, "bias")
        )
    if op == "random":
        m = f.exactly(item, ("op", "out", "seed"), "A random layer")
        seed = f.hex_bytes(m, "seed", 32)
        return Layer(op=op, width_in=width, width_out=f.integer(m, "out", 1, MAX_WIDTH), bias=True, seed=seed)
    if op == "dropout":
        m = f.exactly(item, ("op", "rate_micro"), "A dropout layer")
        return Layer(
            op=op, width_in=width, width_out=width, rate_micro=f.integer(m, "rate_micro", 0, 900_000)
        )
    f.exactly(item, ("op",), f"A {op} layer")
    return Layer(op=op, width_in=width, width_out=width)


def _training(value: Any) -> Training:
    m = f.exactly(value, ("learning_rate_micro", "steps"), "training")
    return Training(
        learning_rate_micro=f.integer(m, "learning_rate_micro", 1, 10_000_000),
        steps=f.integer(m, "steps", 1, MAX_STEPS),
    )


def _output(value: Any) -> Output:
    m = f.exactly(value, ("kind", "clip_micro"), "output")
    return Output(kind=f.one_of(m, "kind", OUTPUTS), clip_micro=f.integer(m, "clip_micro", 1, 1_000_000_000))


def stack(widths: Sequence[int], activation: str = "relu") -> list[dict[str, Any]]:
    """The `layers` of a plain feed-forward net whose linear layers give `widths` values, for manifest builders."""
    layers: list[dict[str, Any]] = []
    for width in widths:
        if layers:
            layers.append({"op": activation})
        layers.append({"op": "linear", "out": width, "bias": True})
    return layers
