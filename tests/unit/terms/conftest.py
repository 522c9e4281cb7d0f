"""One collective, its key and its documents, for every test of the terms package."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from aggregation.wire import signing
from aggregation.wire.secret import Secret
from collectives.terms.description import build_terms
from tests.vectors.documents import MANIFEST

COLLECTIVE = "12345678-1234-4234-8234-123456789012"


@pytest.fixture
def key() -> Secret:
    return Secret(bytes(range(32)))


@pytest.fixture
def requirement() -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["age", "ill"],
        "properties": {
            "age": {
                "type": "integer",
                "minimum": 18,
                "maximum": 98,
                "title": "age",
                "x-feature": {"encode": "number"},
            },
            "town": {"type": "string", "enum": ["a", "b"], "x-feature": {"encode": "one-hot"}},
            "ill": {"type": "boolean", "x-feature": {"encode": "boolean"}},
        },
    }


@pytest.fixture
def manifest() -> dict[str, Any]:
    return deepcopy(MANIFEST)


@pytest.fixture
def terms_values(key: Secret, requirement: dict[str, Any]) -> dict[str, Any]:
    return {
        "collective_id": COLLECTIVE,
        "name": "Acme Skills",
        "collective_key": signing.public_key(key).hex(),
        "terms_version": 1,
        "purpose": "Predict who falls ill.",
        "not_for": "Decisions about you.",
        "task_description": "A model for doctors.",
        "requirement": requirement,
        "assurance": "declared",
        "permitted_manifests": [],
        "rate": 5 * 10**15,
        "token": "OCEAN",
        "notice_seconds": 14 * 86400,
        "silence": "without",
        "bucket_min": 38,
        "release_min": 100,
        "privacy_level": "aggregate",
        "order_policy": "open",
        "agreement": {"chain_id": 1337, "registry": "0x" + "11" * 20},
        "valid_seconds": 365 * 86400,
        "development": False,
        "created": 1_700_000_000,
    }


@pytest.fixture
def terms_document(terms_values: dict[str, Any]) -> dict[str, Any]:
    return build_terms(**terms_values)
