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
            "You chose %(number)s algorithms; terms name at most %(most)s. Announce the others later.",
            number=len(manifests),
            most=MOST_HASHES,
        )
    found = {row.manifest_hash: row for row in Algorithm.objects.filter(manifest_hash__in=manifests)}
    for ident in manifests:
        algorithm = found.get(ident)
        if algorithm is None or algorithm.status != Algorithm.Status.APPROVED:
            raise CollectiveError(
                "not_approved",
                "“%(name)s” is not approved; leave it out or wait for the review.",
                name=algorithm.name if algorithm else f"{ident[:12]}…",
            )
        audits.check(algorithm)
        problem = misfit(algorithm, requirement)
        if problem:
            raise CollectiveError(
                "does_not_fit",
                "“%(name)s” does not fit the data requirement: %(problem)s",
                name=algorithm.name,
                problem=problem,
            )
    return [found[ident] for ident in manifests]


def misfit(algorithm: Algorithm, requirement: Mapping[str, Any]) -> str:
    """Why an algorithm cannot read records of this requirement; empty when it can."""
    try:
        Encoder(requirement, parse_manifest(algorithm.manifest))
    except TermsError as error:
        return error.sentence
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
                "The class names %(fields)s, which no field of the record is called.",
                fields=", ".join(unknown),
            )
    for row in algorithms:
        problem = classes.outside(algorithm_class, parse_manifest(row.manifest))
        if problem:
            raise CollectiveError(
                "outside_class",
                "“%(name)s” is outside the class: %(problem)s",
                name=row.name,
                problem=problem,
            )


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
