"""The record a permit is kept in: the permit, the signed terms it grants, and the commitment made at subscription."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collectives.terms.permit import Permit


def permit_of(record: Mapping[str, Any] | None) -> Permit | None:
    """The permit of a stored record. What was stored was verified, so a failure here is damage, not an attack."""
    return None if record is None else Permit.parse(record["permit"]["document"])


def requirement_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The data requirement the holder agreed to, from the signed terms kept beside the permit."""
    requirement: dict[str, Any] = record["terms"]["document"]["requirement"]
    return requirement


def formal_of(record: Mapping[str, Any] | None) -> bool:
    """Whether the terms promise a formal privacy budget."""
    return record is not None and record["terms"]["document"]["privacy_level"] == "formal"


def sandbox_of(record: Mapping[str, Any] | None) -> str:
    """The sandbox level the terms ask for: `any` or `full`."""
    return "any" if record is None else str(record["terms"]["document"].get("sandbox", "any"))
