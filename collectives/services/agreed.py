"""Algorithms that a subscriber agrees to by subscribing: named in the signed terms, so they need no notice of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from collectives.errors import CollectiveError
from collectives.models import Algorithm
from collectives.services import audits
from collectives.terms import classes
from collectives.terms.algorithm import parse_manifest
from collectives.terms.errors import TermsError
from collectives.terms.fields import MOST_HASHES
from collectives.training.features import Encoder


def chosen(manifests: Sequence[str], requirement: Mapping[str, Any]) -> list[Algorithm]:
    """The algorithms of these manifest hashes, in their order, each reviewed and fitting the data requirement.

    Raises:
        CollectiveError: too many, `not_approved`, `audit_rejected`, or `does_not_fit`; each names the algorithm.
    """
    if len(manifests) > MOST_HASHES:
        raise CollectiveError(
            "too_many_algorithms",
            f"You chose {len(manifests)} algorithms; terms name at most {MOST_HASHES}. Announce the others later.",
        )
    found = {row.manifest_hash: row for row in Algorithm.objects.filter(manifest_hash__in=manifests)}
    for ident in manifests:
        algorithm = found.get(ident)
        if algorithm is None or algorithm.status != Algorithm.Status.APPROVED:
            name = f"“{algorithm.name}”" if algorithm else f"The algorithm {ident[:12]}…"
            raise CollectiveError(
                "not_approved", f"{name} is not approved; leave it out or wait for the review."
            )
        audits.check(algorithm)
        problem = misfit(algorithm, requirement)
        if problem:
            raise CollectiveError(
                "does_not_fit", f"“{algorithm.name}” does not fit the data requirement: {problem}"
            )
    return [found[ident] for ident in manifests]


def misfit(algorithm: Algorithm, requirement: Mapping[str, Any]) -> str:
    """Why an algorithm cannot read records of this requirement; empty when it can."""
    try:
        Encoder(requirement, parse_manifest(algorithm.manifest))
    except TermsError as error:
        return str(error)
    return ""


def check_class(
    algorithm_class: Mapping[str, Any] | None, requirement: Mapping[str, Any], algorithms: Sequence[Algorithm]
) -> None:
    """The class may name only fields of the requirement, and holds the algorithms that the same terms name.

    Raises:
        CollectiveError: `unknown_field`, or `outside_class`, naming the algorithm.
    """
    if algorithm_class is None:
        return
    for name in ("inputs", "target"):
        unknown = sorted(set(algorithm_class.get(name, ())) - set(requirement.get("properties", ())))
        if unknown:
            raise CollectiveError(
                "unknown_field",
                f"The class names {', '.join(unknown)}, which no field of the record is called.",
            )
    for row in algorithms:
        problem = classes.outside(algorithm_class, parse_manifest(row.manifest))
        if problem:
            raise CollectiveError("outside_class", f"“{row.name}” is outside the class: {problem}")


def named(algorithms: Sequence[Algorithm]) -> list[dict[str, str]]:
    """What the terms say about them, in the manifest's own words."""
    return [
        {
            "manifest_hash": row.manifest_hash,
            "name": row.manifest["name"],
            "purpose": row.manifest["purpose"],
        }
        for row in algorithms
    ]
