"""The people of a data folder as numbers, encoded once by the project's encoder and kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from collectives.terms.algorithm import parse_manifest, stack
from collectives.training.features import Encoder
from marketplace.demo.datasets import Dataset, folder
from tests.benchmarks.learning.simple import held_out

if TYPE_CHECKING:
    from tests.benchmarks.learning.engine import Run

Floats = NDArray[np.float32]
BINS = 16


@dataclass(frozen=True, kw_only=True)
class People:
    """x [wallets, width], y [wallets, 1] of the training people, one record per wallet, and of the consumer's test people."""

    name: str
    digest: str
    base: dict[str, Any]
    most: float
    """Σx² of a record at most, from the requirement's public constants alone."""
    x: Floats
    y: Floats
    x_test: Floats
    y_test: Floats

    @property
    def wallets(self) -> int:
        return len(self.x)

    def manifest(self, run: Run) -> dict[str, Any]:
        """The run's algorithm as a manifest document."""
        kind = "gradient" if run.local_steps == 1 else "delta"
        return self._stacked(run.hidden) | {
            "training": {"learning_rate_micro": round(run.local_rate * 1e6), "steps": run.local_steps},
            "output": {"kind": kind, "clip_micro": round(run.clip * 1e6)},
        }

    def evaluation(self, run: Run) -> dict[str, Any]:
        """The federated evaluation of that algorithm's model; its answers have a norm of at most √3."""
        document = self._stacked(run.hidden) | {
            "name": "Evaluation",
            "output": {"kind": "evaluation", "clip_micro": 1_732_051, "bins": BINS},
        }
        del document["training"]
        return document

    def ridge(self, *, clip: float, ridge: float) -> dict[str, Any]:
        """A linear model solved at once from sums."""
        document = self.base | {
            "name": "Ridge regression",
            "loss": "mse",
            "output": {
                "kind": "elm-statistics",
                "clip_micro": round(clip * 1e6),
                "ridge_micro": round(ridge * 1e6),
            },
        }
        del document["training"]
        return document

    def _stacked(self, hidden: tuple[int, ...]) -> dict[str, Any]:
        return self.base | {"layers": stack([*hidden, 1])}


def people_of(path: Path, cache: Path, *, held: bool = False) -> People:
    """Read a folder, or what was kept of it; `held` leaves the test split alone and judges by a quarter of the training people.

    Raises:
        DatasetError: the folder is not one.
    """
    files = [path / "schema.json", path / "data.csv.gz"]
    if not all(file.is_file() for file in files):
        folder(path)  # says what is missing
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files) + bytes([held])).hexdigest()[:16]
    kept = cache / f"people-{digest}.npz"
    if kept.exists():
        with np.load(kept) as found:
            about = json.loads(str(found["about"]))
            return People(
                digest=digest, **about, **{name: found[name] for name in ("x", "y", "x_test", "y_test")}
            )
    data = folder(path)
    made = _encoded(held_out(data) if held else data, digest)
    kept.parent.mkdir(parents=True, exist_ok=True)
    about = json.dumps({"name": made.name, "base": made.base, "most": made.most})
    np.savez(kept, about=np.array(about), x=made.x, y=made.y, x_test=made.x_test, y_test=made.y_test)
    return made


def _encoded(data: Dataset, digest: str) -> People:
    base = dict(data.manifest)
    encoder = Encoder(data.requirement, parse_manifest(base))
    x, y = encoder.encode_many(data.train)
    x_test, y_test = encoder.encode_many(data.test)
    most = sum(_most(data.requirement["properties"][name]) for name in base["inputs"])
    return People(name=data.name, digest=digest, base=base, most=most, x=x, y=y, x_test=x_test, y_test=y_test)


def _most(spec: Mapping[str, Any]) -> float:
    """Σx² of one field's columns at most: a number in [−1, 1] and its bin, one of several values, or its absence."""
    feature = spec.get("x-feature", {})
    match feature.get("encode"):
        case "number":
            return 2.0 if feature.get("bins") else 1.0
        case "multi-hot":
            return float(len(spec["items"]["enum"]))
    return 1.0
