"""People-shaped data for the demo: one row is one wallet.

`breast_cancer` comes from the installed scikit-learn package. `folder` reads any folder with `data.csv.gz` and `schema.json` (layout
below) and turns its schema into a data requirement; nothing of it is kept. Test rows never enter a wallet: they are the data
consumer's own.

schema.json: {"name", "id_column", "split_column", "target": {"column", "type": "binary", "positive"}, "features": [{"name", "type":
"numeric" | "category" | "boolean", "kind": "integer" | "real", "min", "max", "transform": "linear" | "log1p", "bins", "values",
"nullable", "unlisted_to"}]}. The split column says train or test.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collectives.terms.algorithm import stack
from collectives.terms.errors import TermsError
from collectives.terms.requirements import check_profile, validate
from collectives.training.features import input_width, target_width

Record = dict[str, Any]
MAX_FILE = 256 * 1024 * 1024


class DatasetError(ValueError):
    """The data cannot be used as it is; the sentence says what to change."""


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
        """The same with the first `wallets` training records.

        Raises:
            DatasetError: there are fewer.
        """
        if wallets is None:
            return self
        if wallets > len(self.train):
            raise DatasetError(
                f"{self.name} has {len(self.train)} training records, so it cannot fill {wallets} wallets. Ask for fewer."
            )
        return Dataset(
            **{n: getattr(self, n) for n in self.__dataclass_fields__} | {"train": self.train[:wallets]}
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
        DatasetError: a file is missing, empty, not UTF-8, not gzip; a column is missing; a value is not in its list or
            range; no row is for training; the target is not binary.
    """
    schema = _schema(path)
    requirement_of(schema)  # refuses a schema it cannot express before any row is read
    rows = _rows(path, schema)
    train: list[Record] = []
    test: list[Record] = []
    split, target = schema["split_column"], schema["target"]
    for number, row in enumerate(rows, start=2):
        record = _record(schema, row, number)
        record[target["column"]] = row[target["column"]] == str(target.get("positive", 1))
        if row[split] not in ("train", "test"):
            raise DatasetError(f"Line {number}: {split} must be train or test.")
        (train if row[split] == "train" else test).append(record)
    if not train:
        raise DatasetError(
            f"{path.name} has no training rows ({split} = train), so there is nobody to learn from."
        )
    if not test:
        raise DatasetError(
            f"{path.name} has no test rows ({split} = test), so the consumer could not judge the model."
        )
    return _dataset(schema, name=str(schema["name"]), train=train, test=test, title=str(schema["name"]))


def _schema(path: Path) -> dict[str, Any]:
    file = path / "schema.json"
    try:
        schema = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DatasetError(
            f"There is no schema.json in {path}. Name a folder with data.csv.gz and schema.json."
        ) from error
    except UnicodeDecodeError as error:
        raise DatasetError("schema.json is not UTF-8 text. Save it as UTF-8.") from error
    except ValueError as error:
        raise DatasetError(f"schema.json is not valid JSON: {error}.") from error
    lacking = (
        {"name", "split_column", "target", "features"} - set(schema)
        if isinstance(schema, dict)
        else {"everything"}
    )
    if lacking:
        raise DatasetError(f"schema.json lacks {', '.join(sorted(lacking))}.")
    if schema["target"].get("type") != "binary":
        raise DatasetError(
            f"The target {schema['target'].get('column')} is {schema['target'].get('type')}; this demo trains on binary targets only."
        )
    return dict(schema)


def _rows(path: Path, schema: Mapping[str, Any]) -> list[dict[str, str]]:
    file = path / "data.csv.gz"
    try:
        with gzip.open(file) as stream:
            text = stream.read(MAX_FILE + 1).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise DatasetError(f"There is no data.csv.gz in {path}.") from error
    except UnicodeDecodeError as error:
        raise DatasetError(
            "data.csv.gz is not UTF-8 text. Save the CSV as UTF-8 and compress it again."
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError("data.csv.gz is not a whole gzip file. Compress the CSV again.") from error
    if len(text) > MAX_FILE:
        raise DatasetError(f"data.csv.gz holds more than {MAX_FILE // 2**20} MiB.")
    reader = csv.DictReader(io.StringIO(text))
    if not reader.fieldnames:
        raise DatasetError("data.csv.gz is empty. It needs a header line and a row per person.")
    needed = [schema["split_column"], schema["target"]["column"], *(f["name"] for f in schema["features"])]
    lacking = [name for name in needed if name not in reader.fieldnames]
    if lacking:
        raise DatasetError(f"data.csv.gz lacks the column {', '.join(lacking)} that schema.json names.")
    rows = list(reader)
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
    value = float(text)
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("is not a finite number")
    # Outside the public range a value counts as the range's end, exactly as the encoder would count it.
    value = min(max(value, float(spec["min"])), float(spec["max"]))
    return int(value) if spec.get("kind") == "integer" and value.is_integer() else value


# --- from a schema to a requirement and an algorithm -------------------------------------------------------------


def requirement_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The data requirement (a JSON Schema of our profile) that a schema.json describes.

    Raises:
        DatasetError: a feature has a type we do not know, or the requirement would break the profile.
    """
    target = schema["target"]["column"]
    properties = {spec["name"]: _property(spec) for spec in schema["features"]}
    properties[target] = {
        "type": "boolean",
        "title": str(target).replace("_", " "),
        "x-feature": {"encode": "boolean"},
    }
    required = [spec["name"] for spec in schema["features"] if not spec.get("nullable")]
    requirement = {
        "type": "object",
        "additionalProperties": False,
        "required": [*required, target],
        "properties": properties,
    }
    try:
        check_profile(requirement)
    except TermsError as error:
        raise DatasetError(f"schema.json cannot become a data requirement: {error}") from error
    return requirement


def _property(spec: Mapping[str, Any]) -> dict[str, Any]:
    title = str(spec["name"]).replace("_", " ")
    for kind, names in (("numeric", ("min", "max")), ("category", ("values",))):
        if spec.get("type") == kind and not set(names) <= set(spec):
            raise DatasetError(f"The feature {spec['name']} is {kind} and needs {' and '.join(names)}.")
    match spec.get("type"):
        case "numeric":
            feature: dict[str, Any] = {"encode": "number", "transform": spec.get("transform", "linear")}
            if spec.get("bins"):
                feature["bins"] = list(spec["bins"])
            kind = "integer" if spec.get("kind") == "integer" else "number"
            return {
                "type": kind,
                "title": title,
                "minimum": spec["min"],
                "maximum": spec["max"],
                "x-feature": feature,
            }
        case "category":
            feature = {"encode": "one-hot"}
            if spec.get("unlisted_to") is not None:
                feature["unlisted_to"] = str(spec["unlisted_to"])
            return {
                "type": "string",
                "title": title,
                "enum": [str(v) for v in spec["values"]],
                "x-feature": feature,
            }
        case "boolean":
            return {"type": "boolean", "title": title, "x-feature": {"encode": "boolean"}}
    raise DatasetError(
        f"The feature {spec['name']} has the type {spec.get('type')}; known are numeric, category and boolean."
    )


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
    for record in (train[0], test[0]):
        problems = validate(requirement, record)
        if problems:
            raise DatasetError(f"The records do not fit their own schema: {problems[0]}.")
    manifest = linear_manifest(
        requirement, inputs=inputs, target=[target], purpose=purpose, loss="bce-with-logits"
    )
    return Dataset(
        name=name,
        title=title,
        purpose=purpose,
        requirement=requirement,
        manifest=manifest,
        train=train,
        test=test,
        reference_auc=reference_auc,
    )
