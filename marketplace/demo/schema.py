"""schema.json of a data folder: read, checked, and turned into a data requirement.

{"name", "split_column", "target": {"column", "type": "binary", "positive"}, "features": [{"name", "type": "numeric" | "category" |
"boolean", "kind": "integer" | "real", "min", "max", "transform": "linear" | "log1p", "bins", "values", "nullable", "unlisted_to"}]}.
Further fields are ignored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collectives.terms.errors import TermsError
from collectives.terms.requirements import check_profile

MOST_NAME = 100


class DatasetError(ValueError):
    """The data cannot be used as it is; the sentence says what to change."""


def read_schema(path: Path) -> dict[str, Any]:
    """The checked schema.json of the folder `path`.

    Raises:
        DatasetError: the file is missing, is not JSON, or does not describe a binary target and at least one feature.
    """
    try:
        schema = json.loads((path / "schema.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DatasetError(
            f"There is no schema.json in {path}. Name a folder with data.csv.gz and schema.json."
        ) from error
    except OSError as error:
        raise DatasetError(f"schema.json in {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DatasetError("schema.json is not UTF-8 text. Save it as UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"schema.json is not valid JSON: {error}.") from error
    return check_schema(schema)


def check_schema(schema: Any) -> dict[str, Any]:
    """The same schema, once its form is right. Raises DatasetError."""
    if not isinstance(schema, dict):
        raise DatasetError("schema.json must hold a JSON object.")
    lacking = {"name", "split_column", "target", "features"} - set(schema)
    if lacking:
        raise DatasetError(f"schema.json lacks {', '.join(sorted(lacking))}.")
    for name in ("name", "split_column"):
        _check_name(schema[name], name)
    target, features = schema["target"], schema["features"]
    if not isinstance(target, dict) or "column" not in target:
        raise DatasetError("The target in schema.json must be an object that names its column and type.")
    _check_name(target["column"], "the target's column")
    if target.get("type") != "binary":
        raise DatasetError(
            f"The target {target['column']} is {target.get('type')}; this demo trains on binary targets only."
        )
    if not isinstance(features, list) or not features or not all(isinstance(f, dict) for f in features):
        raise DatasetError(
            "features in schema.json must list at least one object, each a column to learn from."
        )
    names = [_check_name(feature.get("name"), "a feature's name") for feature in features]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DatasetError(f"schema.json lists the feature {', '.join(repeated)} twice.")
    if target["column"] in names:
        raise DatasetError(f"{target['column']} is a feature and the target. Take it out of the features.")
    return schema


def _check_name(value: Any, what: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MOST_NAME:
        raise DatasetError(f"In schema.json, {what} must be text of 1 to {MOST_NAME} characters.")
    return value


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
    if spec.get("type") == "category" and not isinstance(spec["values"], list):
        raise DatasetError(f"values of the feature {spec['name']} must be a list.")
    match spec.get("type"):
        case "numeric":
            feature: dict[str, Any] = {"encode": "number", "transform": spec.get("transform") or "linear"}
            if spec.get("bins"):
                feature["bins"] = spec["bins"]
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
