"""People-shaped data for the demo: one row is one wallet.

`breast_cancer` comes from the installed scikit-learn package. `folder` reads any folder with `data.csv.gz` and `schema.json` (layout
below) and turns its schema into a data requirement; nothing of it is kept. Test rows never enter a wallet: they are the data
consumer's own.

The form of schema.json is in `schema`. The split column says train or test.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from collectives.terms.algorithm import parse_manifest, stack
from collectives.terms.errors import TermsError
from collectives.terms.requirements import validate
from collectives.training.features import input_width, target_width
from marketplace.demo.schema import DatasetError, read_schema, requirement_of

Record = dict[str, Any]
MAX_FILE = 256 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Records of people, split into those with a wallet (`train`) and the consumer's own (`test`)."""

    name: str
    title: str
    purpose: str
    requirement: Mapping[str, Any]
    manifest: Mapping[str, Any]
    train: Sequence[Record] = field(repr=False)
    test: Sequence[Record] = field(repr=False)
    generated: bool = False
    reference_auc: float | None = None
    """AUC of a logistic regression published with the data, where there is one."""

    def limited(self, wallets: int | None) -> Dataset:
        """The same with `wallets` of the training records, evenly spread over them: files are often sorted.

        Raises:
            DatasetError: there are fewer, or their answers are all the same.
        """
        if wallets is None:
            return self
        if wallets > len(self.train):
            raise DatasetError(
                f"{self.name} has {len(self.train)} training records, so it cannot fill {wallets} wallets. Ask for fewer."
            )
        if wallets < 1:
            raise DatasetError("Ask for at least one wallet.")
        fewer = replace(self, train=[self.train[i * len(self.train) // wallets] for i in range(wallets)])
        fewer.check_answers()
        return fewer

    def check_answers(self) -> None:
        """Raises:
        DatasetError: nothing can be learned or judged, because all people of a part have the same answer.
        """
        for part, records in (("training", self.train), ("test", self.test)):
            answers = {tuple(str(record[name]) for name in self.manifest["target"]) for record in records}
            if len(answers) < 2:
                raise DatasetError(
                    f"The {part} records of {self.name} ({len(records)}) all have the same answer, so nothing can be learned or judged."
                )


# --- built in: breast cancer -----------------------------------------------------------------------------------

_CANCER_MAXIMA = (
    *(30, 40, 200, 3000, 0.2, 0.4, 0.5, 0.3, 0.4, 0.1),
    *(3, 5, 30, 600, 0.04, 0.2, 0.4, 0.06, 0.08, 0.03),
    *(40, 50, 300, 5000, 0.3, 2, 2, 0.3, 0.7, 0.3),
)
"""Public ranges: zero to the next round number above what the measurement can be expected to reach."""


def breast_cancer() -> Dataset:
    """Breast Cancer Wisconsin (Diagnostic): 569 biopsies, 30 measurements, malignant or not; 447 wallets, 122 test people.

    Wolberg, Mangasarian, Street, Street 1995, doi 10.24432/C5DW2B. Test = rows whose SHA-256 says so (a fifth).
    """
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in bunch.feature_names]
    schema = {
        "features": [
            {"name": name, "type": "numeric", "kind": "real", "min": 0, "max": most, "transform": "linear"}
            for name, most in zip(names, _CANCER_MAXIMA, strict=True)
        ],
        "target": {"column": "malignant", "type": "binary", "positive": 1},
    }
    train: list[Record] = []
    test: list[Record] = []
    for row, (values, benign) in enumerate(zip(bunch.data.tolist(), bunch.target.tolist(), strict=True)):
        record: Record = dict(zip(names, values, strict=True)) | {"malignant": benign == 0}
        (test if _is_test("breast_cancer", row) else train).append(record)
    return _dataset(
        schema, name="breast_cancer", train=train, test=test, title="Breast biopsies", reference_auc=0.981
    )


def _is_test(name: str, row: int) -> bool:
    return int(hashlib.sha256(f"{name}:{row}".encode()).hexdigest()[:8], 16) % 5 == 0


# --- any folder ------------------------------------------------------------------------------------------------


def folder(path: Path) -> Dataset:
    """The data set in a folder.

    Raises:
        DatasetError: a file is missing, empty, not UTF-8, not gzip; a column is missing; a value is not in its list or no
            number; a part has no rows or one answer only; the target is not binary.
    """
    schema = read_schema(path)
    requirement_of(schema)  # refuses a schema it cannot express before any row is read
    rows = _rows(path, schema)
    _check_labels(schema["target"], rows)
    parts: dict[str, list[Record]] = {"train": [], "test": []}
    split, target = schema["split_column"], schema["target"]
    for number, row in enumerate(rows, start=2):
        record = _record(schema, row, number)
        record[target["column"]] = row[target["column"]] == _positive(target)
        if row[split] not in parts:
            raise DatasetError(f"Line {number}: {split} must be train or test.")
        parts[row[split]].append(record)
    if not parts["train"]:
        raise DatasetError(
            f"{path.name} has no training rows ({split} = train), so there is nobody to learn from."
        )
    if not parts["test"]:
        raise DatasetError(
            f"{path.name} has no test rows ({split} = test), so the consumer could not judge the model."
        )
    return _dataset(schema, name=schema["name"], title=schema["name"], **parts)


def _positive(target: Mapping[str, Any]) -> str:
    return str(target.get("positive", 1))


def _check_labels(target: Mapping[str, Any], rows: Sequence[Mapping[str, str]]) -> None:
    """A binary target has two values, and one of them is the positive one; anything else would be learned as nonsense."""
    column, positive = target["column"], _positive(target)
    found: set[str] = set()
    for number, row in enumerate(rows, start=2):
        if row[column] == "":
            raise DatasetError(f"Line {number}: the answer ({column}) is empty.")
        found.add(row[column])
        if len(found - {positive}) > 1:
            raise DatasetError(
                f"Line {number}: {column} has a third value. A binary target has two, {positive} (positive) and one other."
            )
    if positive not in found:
        raise DatasetError(
            f"{column} is never {positive}. Say in schema.json which value is positive, for example 1."
        )


def _rows(path: Path, schema: Mapping[str, Any]) -> list[dict[str, str]]:
    file = path / "data.csv.gz"
    try:
        with gzip.open(file) as stream:
            text = stream.read(MAX_FILE + 1).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise DatasetError(f"There is no data.csv.gz in {path}.") from error
    except IsADirectoryError as error:
        raise DatasetError(f"data.csv.gz in {path} is a folder. It must be a compressed CSV file.") from error
    except UnicodeDecodeError as error:
        raise DatasetError(
            "data.csv.gz is not UTF-8 text. Save the CSV as UTF-8 and compress it again."
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError("data.csv.gz is not a whole gzip file. Compress the CSV again.") from error
    if len(text) > MAX_FILE:
        raise DatasetError(f"data.csv.gz holds more than {MAX_FILE // 2**20} MiB.")
    return _parsed(text, schema)


def _parsed(text: str, schema: Mapping[str, Any]) -> list[dict[str, str]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    needed = [schema["split_column"], schema["target"]["column"], *(f["name"] for f in schema["features"])]
    try:
        header = list(reader.fieldnames or ())
        if not header:
            raise DatasetError("data.csv.gz is empty. It needs a header line and a row per person.")
        lacking = [name for name in needed if name not in header]
        if lacking:
            raise DatasetError(f"data.csv.gz lacks the column {', '.join(lacking)} that schema.json names.")
        twice = [name for name in needed if header.count(name) > 1]
        if twice:
            raise DatasetError(f"data.csv.gz has the column {', '.join(twice)} twice.")
        rows = list(reader)
    except csv.Error as error:
        raise DatasetError(f"Line {reader.line_num} of data.csv.gz is not CSV: {error}.") from error
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise DatasetError(f"Line {number} has not as many values as the header.")
    if not rows:
        raise DatasetError("data.csv.gz has a header and no rows.")
    return rows


def _record(schema: Mapping[str, Any], row: Mapping[str, str], number: int) -> Record:
    record: Record = {}
    for spec in schema["features"]:
        text = row[spec["name"]]
        if text == "":
            if not spec.get("nullable"):
                raise DatasetError(
                    f"Line {number}: {spec['name']} is empty, but the schema says it never is."
                )
            continue
        try:
            record[spec["name"]] = _value(spec, text)
        except ValueError as error:
            raise DatasetError(f"Line {number}: {spec['name']} {error}.") from error
    return record


def _value(spec: Mapping[str, Any], text: str) -> Any:
    if spec["type"] == "boolean":
        if text not in ("0", "1"):
            raise ValueError("must be 0 or 1")
        return text == "1"
    if spec["type"] == "category":
        values = [str(value) for value in spec["values"]]
        if text in values:
            return text
        if spec.get("unlisted_to") is not None:
            return str(spec["unlisted_to"])
        raise ValueError("is not one of the values that schema.json lists")
    try:
        value = float(text)
    except ValueError:
        raise ValueError("is not a number") from None
    if not math.isfinite(value):
        raise ValueError("is not a finite number")
    # Outside the public range a value counts as the range's end, exactly as the encoder would count it.
    value = min(max(value, float(spec["min"])), float(spec["max"]))
    if spec.get("kind") != "integer":
        return value
    if not value.is_integer():
        raise ValueError("is not a whole number, but the schema says integer")
    return int(value)


# --- the algorithm that goes with a table ------------------------------------------------------------------------


def linear_manifest(
    requirement: Mapping[str, Any], *, inputs: Sequence[str], target: Sequence[str], purpose: str, loss: str
) -> dict[str, Any]:
    """A linear model (logistic regression for `bce-with-logits`): one linear layer, one gradient step, clip 1."""
    width_out = target_width(requirement, target)
    return {
        "version": 1,
        "name": "Logistic regression" if loss == "bce-with-logits" else "Linear regression",
        "purpose": purpose,
        "inputs": list(inputs),
        "target": list(target),
        "width_in": input_width(requirement, inputs),
        "width_out": width_out,
        "layers": stack([width_out]),
        "loss": loss,
        "training": {"learning_rate_micro": 1_000_000, "steps": 1},
        "output": {"kind": "gradient", "clip_micro": 1_000_000},
    }


def _dataset(
    schema: Mapping[str, Any],
    *,
    name: str,
    title: str,
    train: Sequence[Record],
    test: Sequence[Record],
    reference_auc: float | None = None,
) -> Dataset:
    requirement = requirement_of(schema)
    target = str(schema["target"]["column"])
    purpose = f"Learn to predict {target.replace('_', ' ')}."
    inputs = [spec["name"] for spec in schema["features"]]
    manifest = linear_manifest(
        requirement, inputs=inputs, target=[target], purpose=purpose, loss="bce-with-logits"
    )
    try:
        parse_manifest(manifest)
    except TermsError as error:
        raise DatasetError(f"No algorithm can be made for {name}: {error}") from error
    data = Dataset(
        name=name,
        title=title,
        purpose=purpose,
        requirement=requirement,
        manifest=manifest,
        train=train,
        test=test,
        reference_auc=reference_auc,
    )
    data.check_answers()
    for record in (train[0], test[0]):  # the others are read by the same rules
        problems = validate(requirement, record)
        if problems:
            raise DatasetError(f"The records do not fit their own schema: {problems[0]}.")
    return data
