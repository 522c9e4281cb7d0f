"""The demo with some of its wallets in tabs of a real Chromium: everything holds, and the report shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stack.test_demo import demo

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(900)]


def test_tabs_take_part_in_the_demo(tmp_path: Path) -> None:
    run = demo(
        tmp_path,
        *("--wallets", "40", "--rounds", "3", "--development-cohort", "20"),
        *("--no-faults", "--browser-wallets", "3"),
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "✓ Wallets in browser tabs took part: 3 tabs of" in run.stdout
    assert "✓ Sums are exact" in run.stdout
    assert "✓ Every wallet was paid for exactly its visits" in run.stdout
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Wallets in browser tabs" in page
    assert 'src="data:image/jpeg;base64,' in page
