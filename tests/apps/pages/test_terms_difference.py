"""Whatever changes between two versions of the terms has a line in their difference."""

from __future__ import annotations

from typing import Any

import pytest

from collectives.terms.description import _NAMES
from marketplace.templatetags.terms import terms_diff
from tests.apps.cast import World

BY_ITSELF = {
    "version",
    "collective_id",
    "collective_key",
    "terms_version",
    "requirement_hash",
    "agreement",
    "created",
}
"""Changes with every version, or never."""
OTHER: dict[str, Any] = {
    "requirement": {"type": "object", "properties": {"x": {"type": "boolean"}}, "required": ["x"]},
    "permitted_manifests": ["ab" * 32],
    "algorithm_class": {"purpose": "Only sleep.", "max_parameters": 5},
    "rate": str(10**16),
    "notice_seconds": 10**7,
    "valid_seconds": 10**6,
    "bucket_min": 44,
    "release_min": 444,
    "silence": "with",
    "privacy_level": "formal",
    "development": True,
    "assurance": "attested",
    "order_policy": "owner",
}


@pytest.mark.parametrize("name", [*(name for name in _NAMES if name not in BY_ITSELF), "sandbox"])
def test_every_element_that_changes_is_said(world: World, name: str) -> None:
    before = world.collective.terms.get().document
    after = before | {name: OTHER.get(name, "full" if name == "sandbox" else "Something else.")}
    rows = terms_diff(before, after)
    assert rows, name
    assert all(row.before != row.after for row in rows)
    assert terms_diff(before, before) == []
