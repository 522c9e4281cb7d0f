"""The dependency audit: a weakness fails it, and not being able to ask does not look like an answer."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.audit import verdict

SOUND = {"name": "django", "version": "5.2.19", "vulns": []}
WEAK = {"name": "old", "version": "1.0", "vulns": [{"id": "X-1", "fix_versions": ["1.1"]}]}
SKIPPED = {"name": "ours", "skip_reason": "not on the index"}


@pytest.mark.parametrize("report", [None, {}, {"dependencies": []}, {"dependencies": [SKIPPED]}])
def test_nothing_asked_is_said_and_does_not_fail(report: Any) -> None:
    lines, code = verdict(report)
    assert code == 0
    assert lines[0].startswith("NOT AUDITED")


def test_sound_packages_pass_and_those_not_asked_about_are_named() -> None:
    lines, code = verdict({"dependencies": [SOUND, SKIPPED]})
    assert code == 0
    assert lines == ["Not asked about: ours", "1 packages asked about, 0 with known weaknesses."]


def test_a_known_weakness_fails_and_says_what_mends_it() -> None:
    lines, code = verdict({"dependencies": [SOUND, WEAK]})
    assert code == 1
    assert lines[0] == "old 1.0: X-1, mended in 1.1"
