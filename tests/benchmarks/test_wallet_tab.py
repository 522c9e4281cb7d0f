"""The benchmark of a wallet in a tab measures what it says, and its page says what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from marketplace.demo.chromium import installed
from tests.benchmarks import wallet_tab, wallet_tab_report


def test_the_page_says_what_was_measured(tmp_path: Path) -> None:
    figures = wallet_tab.Figures(
        browser="Chrome/1.2",
        rounds={10_000: (90.0, 45.0), 100_000: (400.0, 160.0)},
        gradients={1_000: (0.5, 0.25), 9_945: (3.0, 1.5)},
        batch=(1.25, 0.5),
        phases={"mask": 380.0, "advertise": 20.0},
        files=70,
        page_bytes=400_000,
        page_gzip_bytes=150_000,
    )
    wallet_tab_report.write(figures, tmp_path, command="make this")
    page = (tmp_path / "wallet-tab.md").read_text(encoding="utf-8")
    for line in (
        "| 100,000 | 400.00 | 160.00 | 2.50 |",
        "| 9,945 | 3.00 | 1.50 | 2.00 |",
        "| 7,114, over 32 records | 1.25 | 0.50 | 2.50 |",
        "| round of 100,000, ms | 430 to 740 | 400 | yes |",
        "over 32 records, ms | 0.9 | 1.25 | no |",
        "| a mask for each neighbour over the vector | 380.0 |",
        "Masking is 95% of it. One gradient of 9,945 parameters is 0.8% of a round of 100,000 numbers.",
        "70 files, 400 kB, 150 kB compressed",
        "Written by `make this`",
        "Chrome/1.2",
    ):
        assert line in page, line
    assert (tmp_path / "wallet-tab.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert figures.values() == dict(
        zip(wallet_tab.KEYS, (90.0, 400.0, 2.5, 3.0, 2.0, 1.25, 400_000, 150_000), strict=True)
    )
    kept = json.loads((tmp_path / "wallet-tab.json").read_text(encoding="utf-8"))
    assert kept["figures"] == figures.values()
    assert kept["rounds"] == {"10000": [90.0, 45.0], "100000": [400.0, 160.0]}


@pytest.mark.long
def test_a_tab_and_an_agent_are_measured_beside_each_other() -> None:
    if installed() is None:
        pytest.skip("no Chromium on this machine; install the package chromium")
    plan = wallet_tab.Plan(vectors=(1_000,), widths=(14,), rounds=1, gradients=2, members=9)
    figures = wallet_tab.measure(plan)
    for tab, agent in (*figures.rounds.values(), *figures.gradients.values(), figures.batch):
        assert tab > 0
        assert agent > 0
    assert set(figures.phases) == set(wallet_tab_report.STEPS)
    assert 10_000 < figures.page_gzip_bytes < figures.page_bytes
