"""Notice periods are days; only a setting of a development site shortens them."""

from __future__ import annotations

import ast
from pathlib import Path

from marketplace.settings import base

SETTINGS = Path(base.__file__).parent
DAY = 24 * 3600


def test_a_site_has_days_and_only_settings_for_one_machine_may_shorten_them() -> None:
    assert base.NOTICE_MIN_SECONDS >= 14 * DAY
    assert base.DEVELOPMENT_MINIMA is False
    changing = {
        path.name
        for path in SETTINGS.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assign)
        and any(getattr(t, "id", "") == "NOTICE_MIN_SECONDS" for t in node.targets)
    }
    assert changing <= {"base.py", "one_machine.py"}
    production = (SETTINGS / "production.py").read_text(encoding="utf-8")
    assert "one_machine" not in production
    assert "from marketplace.settings.base import" in production
