"""The operators a manifest may stack: a closed list, each with its exact form, its limits and its number of parameters.

Parameters lie in one flat float32 vector, layer by layer in manifest order, each layer's weight row-major [out][in] and then
its bias. A `random` layer is frozen: its values come from a public seed and are not part of the vector.

An `embedding` maps blocks of the input's columns, each by a matrix of its own without a bias, and passes every other column on
in its place. On the columns of a one-hot field that is a look-up in a table, on those of a multi-hot field the sum of the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from collectives.terms import fields as f
from collectives.terms.errors import TermsError
from collectives.terms.sentences import Sentence

MAX_LAYERS, MAX_WIDTH, MAX_PARAMETERS = 16, 4096, 2_000_000
MAX_FROZEN = 2_000_000
"""Scalars of all random layers together: a wallet makes them from their seeds in every visit."""
MAX_BLOCKS = 200
ACTIVATIONS = ("relu", "tanh", "sigmoid")
OPS = ("linear", "embedding", "random", "layernorm", "dropout", *ACTIVATIONS)
GAIN = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Block:
    """`columns` neighbouring input columns from column `at` on, which become `out` values."""

    at: int
    columns: int
    out: int


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer. `width_in` and `width_out` are resolved for every layer, also where the manifest need not say them."""

    op: str
    width_in: int
    width_out: int
    bias: bool = False
    seed: str = ""
    rate_micro: int = 0
    gain_micro: int = GAIN
    blocks: tuple[Block, ...] = ()

    @property
    def parameters(self) -> int:
        match self.op:
            case "linear":
                return self.width_in * self.width_out + (self.width_out if self.bias else 0)
            case "layernorm":
                return 2 * self.width_out
            case "embedding":
                return sum(block.columns * block.out for block in self.blocks)
        return 0

    @property
    def frozen(self) -> int:
        """Scalars made from a seed, which are not parameters."""
        return (self.width_in + 1) * self.width_out if self.op == "random" else 0


def parse_layers(value: Any, width_in: int, width_out: int) -> tuple[Layer, ...]:
    """Raises:
    TermsError: names the operator and what it may say.
    """
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_LAYERS:
        raise TermsError(
            "bad_manifest", "layers must list 1 to %(max_layers)s layers.", max_layers=MAX_LAYERS
        )
    layers: list[Layer] = []
    width = width_in
    for item in value:
        layers.append(_layer(item, width, first=not layers))
        width = layers[-1].width_out
    if width != width_out:
        raise TermsError(
            "bad_manifest",
            "the last layer gives %(width)s values, but width_out says %(width_out)s.",
            width=width,
            width_out=width_out,
        )
    if sum(layer.frozen for layer in layers) > MAX_FROZEN:
        raise TermsError(
            "bad_manifest",
            "its random layers may hold %(max_frozen)s values together at most.",
            max_frozen=MAX_FROZEN,
        )
    return tuple(layers)


def _layer(item: Any, width: int, *, first: bool) -> Layer:
    op = item.get("op") if isinstance(item, Mapping) else None
    if op not in OPS:
        raise TermsError("bad_manifest", "a layer's op must be one of %(ops)s.", ops=", ".join(OPS))
    match op:
        case "linear":
            m = f.exactly(item, ("op", "out", "bias"), "A linear layer")
            return Layer(op=op, width_in=width, width_out=_out(m), bias=f.flag(m, "bias"))
        case "embedding":
            if not first:
                raise TermsError("bad_manifest", "an embedding reads the fields' own columns: make it first.")
            return _embedding(item, width)
        case "random":
            return _random(item, width)
        case "dropout":
            m = f.exactly(item, ("op", "rate_micro"), "A dropout layer")
            rate = f.integer(m, "rate_micro", 0, 900_000)
            return Layer(op=op, width_in=width, width_out=width, rate_micro=rate)
    f.exactly(item, ("op",), Sentence("A %(op)s layer", op=op))
    return Layer(op=op, width_in=width, width_out=width)


def _out(m: Mapping[str, Any]) -> int:
    return f.integer(m, "out", 1, MAX_WIDTH)


def _random(item: Mapping[str, Any], width: int) -> Layer:
    later = ("gain_micro",) if "gain_micro" in item else ()
    m = f.exactly(item, ("op", "out", "seed", *later), "A random layer")
    return Layer(
        op="random",
        width_in=width,
        width_out=_out(m),
        bias=True,
        seed=f.hex_bytes(m, "seed", 32),
        gain_micro=f.integer(m, "gain_micro", 1, 100 * GAIN) if later else GAIN,
    )


def _embedding(item: Mapping[str, Any], width: int) -> Layer:
    m = f.exactly(item, ("op", "blocks"), "An embedding layer")
    if not isinstance(m["blocks"], list) or not 1 <= len(m["blocks"]) <= MAX_BLOCKS:
        raise TermsError(
            "bad_manifest", "an embedding lists 1 to %(max_blocks)s blocks of columns.", max_blocks=MAX_BLOCKS
        )
    blocks: list[Block] = []
    free = 0
    for value in m["blocks"]:
        b = f.exactly(value, ("at", "columns", "out"), "A block of an embedding")
        columns = f.integer(b, "columns", 1, MAX_WIDTH)
        block = Block(at=f.integer(b, "at", free, width - 1), columns=columns, out=_out(b))
        free = block.at + columns
        blocks.append(block)
    if free > width:
        raise TermsError(
            "bad_manifest", "the blocks reach column %(free)s of %(width)s.", free=free, width=width
        )
    out = width + sum(block.out - block.columns for block in blocks)
    if out > MAX_WIDTH:
        raise TermsError(
            "bad_manifest", "an embedding may give %(max_width)s values at most.", max_width=MAX_WIDTH
        )
    return Layer(op="embedding", width_in=width, width_out=out, blocks=tuple(blocks))


def stack(widths: Sequence[int], activation: str = "relu") -> list[dict[str, Any]]:
    """The `layers` of a plain feed-forward net whose linear layers give `widths` values, for manifest builders."""
    layers: list[dict[str, Any]] = []
    for width in widths:
        if layers:
            layers.append({"op": activation})
        layers.append({"op": "linear", "out": width, "bias": True})
    return layers
