"""Algorithms, or conditions, that must be rejected: positive controls of the audit, each with the part that has to find it.

`seeded` reach the attacks. `refused` never do: the manifest's closed vocabulary has no word for what they want.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aggregation.privacy.noise import floor_share_micro
from collectives.audit.conditions import Conditions, weakest
from collectives.audit.subject import Subject, subject
from collectives.terms.algorithm import parse_manifest

Layers = list[dict[str, Any]]
Changed = Callable[[Conditions, Mapping[str, Any]], Conditions]


@dataclass(frozen=True, kw_only=True)
class Bad:
    """`part`: the name of the part of the audit that finds it. `why`: what would go wrong."""

    name: str
    why: str
    part: str
    document: Mapping[str, Any]
    changed: Changed = lambda made, document: made

    def subject(self) -> Subject:
        made = self.changed(weakest(parse_manifest(dict(self.document))), self.document)
        return subject(self.document, None, made)


def model(
    *layers: dict[str, Any], width_in: int, fields: int, loss: str = "bce-with-logits", **changes: Any
) -> dict[str, Any]:
    """A manifest of a trained model; `changes` replace its parts."""
    kind, clip = changes.pop("kind", "gradient"), changes.pop("clip_micro", 1_000_000)
    training = {"learning_rate_micro": changes.pop("rate_micro", 1_000_000), "steps": changes.pop("steps", 1)}
    return {
        "version": 1,
        "name": "A control of the audit",
        "purpose": "Shows that the audit finds what it should find.",
        "inputs": [f"field {number + 1}" for number in range(fields)],
        "target": ["answer"],
        "width_in": width_in,
        "width_out": layers[-1]["out"],
        "layers": list(layers),
        "loss": loss,
        "training": training,
        "output": {"kind": kind, "clip_micro": clip},
        **changes,
    }


def linear(out: int) -> dict[str, Any]:
    return {"op": "linear", "out": out, "bias": True}


def query(kind: str, *, width_in: int, fields: int, clip_micro: int, **more: Any) -> dict[str, Any]:
    made = model(linear(1), width_in=width_in, fields=fields)
    kept = {name: made[name] for name in ("version", "name", "purpose", "inputs", "width_in")}
    return kept | {"output": {"kind": kind, "clip_micro": clip_micro, **more}}


def _regression(*layers: dict[str, Any], width_in: int, fields: int) -> dict[str, Any]:
    made = model(*layers, width_in=width_in, fields=fields, loss="mse")
    del made["training"]
    return made | {"output": {"kind": "elm-statistics", "clip_micro": 1_000_000, "ridge_micro": 1_000_000}}


def _quiet(made: Conditions, document: Mapping[str, Any]) -> Conditions:
    return made.quiet()


def _half(made: Conditions, document: Mapping[str, Any]) -> Conditions:
    return replace(made, share_micro=made.share_micro // 2)


def _formal_half(made: Conditions, document: Mapping[str, Any]) -> Conditions:
    return _half(made.formal(parse_manifest(dict(document))), document)


def _noise_of_a_clip_of_one(made: Conditions, document: Mapping[str, Any]) -> Conditions:
    return replace(made, share_micro=floor_share_micro(1_000_000, made.bucket_min))


def _cohorts_of(wallets: int) -> Changed:
    def changed(made: Conditions, document: Mapping[str, Any]) -> Conditions:
        share = floor_share_micro(made.clip_micro, wallets)
        return replace(made, bucket_min=wallets, release_min=wallets, share_micro=share)

    return changed


def _small_and_quiet(made: Conditions, document: Mapping[str, Any]) -> Conditions:
    return replace(made, release_min=made.bucket_min, share_micro=0)


PLAIN = model(linear(1), width_in=12, fields=6)
RELU, TANH = {"op": "relu"}, {"op": "tanh"}
SEED = "5e" * 32


def seeded() -> Sequence[Bad]:
    """All of them, in the order of the parts that find them."""
    return (
        Bad(
            name="diverging-steps",
            why="sixty local steps at a rate of ten overflow for some records, and a refusal tells which",
            part="form",
            document=model(
                linear(16),
                RELU,
                linear(1),
                width_in=8,
                fields=6,
                loss="mse",
                kind="delta",
                steps=60,
                rate_micro=10_000_000,
            ),
        ),
        Bad(
            name="unread-fields",
            why="random features so flat that no field changes an answer: fields are asked for and not used",
            part="fields",
            document=model(
                {"op": "random", "out": 16, "seed": SEED, "gain_micro": 1},
                TANH,
                linear(1),
                width_in=12,
                fields=6,
            ),
        ),
        Bad(
            name="memorising-capacity",
            why="so many parameters for so few fields that no lawful cohort is small enough to exist",
            part="ratio",
            document=model(linear(256), RELU, linear(128), RELU, linear(1), width_in=4, fields=3),
        ),
        Bad(
            name="more-sums-than-unknowns",
            why="second moments of 200 random features of four fields, from a hundred wallets: a system that can be solved",
            part="ratio",
            document=_regression(
                {"op": "random", "out": 200, "seed": SEED}, TANH, linear(1), width_in=4, fields=3
            ),
            changed=lambda made, document: replace(made, release_min=100),
        ),
        Bad(
            name="noise-off",
            why="no noise on any sum",
            part="canaries",
            document=PLAIN,
            changed=_quiet,
        ),
        Bad(
            name="half-noise",
            why="half of the noise floor",
            part="canaries",
            document=PLAIN,
            changed=_half,
        ),
        Bad(
            name="clip-beyond-noise",
            why="a clip of fifty under noise that was made for a clip of one",
            part="canaries",
            document=model(linear(1), width_in=12, fields=6, clip_micro=50_000_000),
            changed=_noise_of_a_clip_of_one,
        ),
        Bad(
            name="half-noise-formal",
            why="ε ≤ 3 is claimed for half of the noise that it takes",
            part="canaries_formal",
            document=PLAIN,
            changed=_formal_half,
        ),
        Bad(
            name="identifier-embedding",
            why="a table with a row for each of four hundred identifiers: every wallet has a row of its own",
            part="sparsity",
            document=model(
                {"op": "embedding", "blocks": [{"at": 0, "columns": 400, "out": 4}]},
                linear(1),
                width_in=400,
                fields=1,
            ),
        ),
        Bad(
            name="identifier-columns",
            why="a weight for each of four hundred identifiers: a sum copies them",
            part="sparsity",
            document=model(linear(1), width_in=400, fields=1),
        ),
        Bad(
            name="identifying-bins",
            why="a histogram of bins that hold hardly anybody",
            part="sparsity",
            document=query("histogram", width_in=2, fields=2, clip_micro=1_414_214, bins=64),
        ),
        Bad(
            name="cohort-of-one",
            why="a sum may be one wallet's",
            part="inversion",
            document=PLAIN,
            changed=_cohorts_of(1),
        ),
        Bad(
            name="trap-friendly",
            why="few columns into units that can turn steeply: crafted weights give people units of their own, above the noise",
            part="traps",
            document=model(linear(32), TANH, linear(1), width_in=6, fields=6, loss="mse"),
        ),
        Bad(
            name="cohort-of-five",
            why="sums of five wallets, to whoever pays",
            part="properties",
            document=query("mean", width_in=6, fields=6, clip_micro=2_449_490),
            changed=_cohorts_of(5),
        ),
        Bad(
            name="memorised-people",
            why="a weight for each of four hundred identifiers and no noise: a model knows its sixty people by heart",
            part="membership",
            document=model(linear(1), width_in=400, fields=1),
            changed=_small_and_quiet,
        ),
    )


def bad(name: str) -> Bad:
    """Raises:
    KeyError: no control is called so.
    """
    return {one.name: one for one in seeded()}[name]


def refused() -> Mapping[str, Mapping[str, Any]]:
    """Manifests that want what the vocabulary cannot say, by what they want."""
    two = [linear(4), linear(1)]

    def with_layers(*layers: dict[str, Any]) -> dict[str, Any]:
        return model(*layers, linear(1), width_in=12, fields=6)

    def with_output(**output: Any) -> dict[str, Any]:
        return PLAIN | {"output": output}

    return {
        "code of its own": with_layers({"op": "python", "source": "return x"}),
        "a condition on a record": with_layers({"op": "where", "field": "field 1", "above": 3}),
        "a hash of a record as a place": with_layers({"op": "hash", "out": 1024}),
        "a table looked up by a computed value": model(
            linear(12),
            {"op": "embedding", "blocks": [{"at": 0, "columns": 12, "out": 4}]},
            linear(1),
            width_in=12,
            fields=6,
        ),
        "records as they are": with_output(kind="records", clip_micro=1_000_000),
        "an answer of each record": with_output(kind="gradient", clip_micro=1_000_000, per="record"),
        "a length that the data chooses": with_output(kind="histogram", clip_micro=1_000_000, bins="auto"),
        "no clip": with_output(kind="gradient"),
        "weights of its own": PLAIN | {"weights": [0.0] * 13},
        "a step that counts": model(*two, width_in=12, fields=6, kind="delta", steps=1_000_000),
        "a rate chosen by the loss": PLAIN
        | {"training": {"learning_rate_micro": 1, "steps": 1, "while": "loss > 1"}},
        "text in the answer": with_output(kind="text", clip_micro=1_000_000),
    }
