"""The benchmark of a wallet in a tab measures what it says, and its page says what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace.demo.chromium import installed
from tests.benchmarks import wallet_tab, wallet_tab_report


def test_the_page_says_what_was_measured(tmp_path: Path) -> None:
    figures = wallet_tab.Figures(
        browser="Chrome/1.2",
        rounds={10_000: (90.0, 45.0), 100_000: (400.0, 160.0)},
        gradients={1_000: (0.5, 0.25), 9_945: (3.0, 1.5)},
        phases={"mask": 380.0, "advertise": 2.0},
        files=70,
        page_bytes=400_000,
        page_gzip_bytes=150_000,
    )
    wallet_tab_report.write(figures, tmp_path)
    page = (tmp_path / "wallet-tab.md").read_text(encoding="utf-8")
    for line in (
        "| 100,000 | 400.00 | 160.00 | 2.50 |",
        "| 9,945 | 3.00 | 1.50 | 2.00 |",
        "| 100 masks over the vector | 380.0 |",
        "70 files, 400 kB, 150 kB compressed",
        "Chrome/1.2",
    ):
        assert line in page, line
    assert (tmp_path / "wallet-tab.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert figures.values() == dict(
        zip(wallet_tab.KEYS, (90.0, 400.0, 2.5, 3.0, 2.0, 400_000, 150_000), strict=True)
    )


@pytest.mark.long
def test_a_tab_and_an_agent_are_measured_beside_each_other() -> None:
    if installed() is None:
        pytest.skip("no Chromium on this machine; install the package chromium")
    plan = wallet_tab.Plan(vectors=(1_000,), widths=(14,), rounds=1, gradients=2, members=9)
    figures = wallet_tab.measure(plan)
    for tab, agent in (*figures.rounds.values(), *figures.gradients.values()):
        assert tab > 0
        assert agent > 0
    assert set(figures.phases) == set(wallet_tab_report.STEPS)
    assert 10_000 < figures.page_gzip_bytes < figures.page_bytes
