"""The file the data creation tool saves: `{requirement_id, hash, data}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collectives.terms.canonical import digest
from collectives.terms.errors import TermsError
from collectives.terms.requirements import requirement_hash, validate

NAMES = frozenset({"requirement_id", "hash", "data"})


def is_saved(value: Any) -> bool:
    """Whether a JSON value has the shape of a saved file (and is not a bare record)."""
    return isinstance(value, Mapping) and set(value) == NAMES


def pack(requirement: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """The file for a record that meets the requirement.

    Raises:
        TermsError: `data_missing`, listing what is missing or wrong; values are never repeated.
    """
    problems = validate(requirement, data)
    if problems:
        raise TermsError("data_missing", "; ".join(map(str, problems)))
    return {"requirement_id": requirement_hash(requirement), "hash": digest(data).hex(), "data": dict(data)}


def unpack(value: Mapping[str, Any], requirement: Mapping[str, Any]) -> dict[str, Any]:
    """The record in a saved file, if it was made for this requirement and is whole. What it says is judged by the caller.

    Raises:
        TermsError: `wrong_requirement`, `changed_file`.
    """
    if value["requirement_id"] != requirement_hash(requirement):
        raise TermsError(
            "wrong_requirement",
            "The file was made for another data requirement. Get the tool from this collective's page and fill it again.",
        )
    data = value["data"]
    if not isinstance(data, dict) or digest(data).hex() != value["hash"]:
        raise TermsError(
            "changed_file",
            "The file was changed after it was saved: its hash does not fit its data. Save it again with the tool.",
        )
    return data
