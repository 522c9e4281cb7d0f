"""The benchmark of secure aggregation runs, and says what it promises to say. Nothing here depends on how fast the machine is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aggregation.secagg.errors import RemoteProtocolError
from aggregation.secagg.messages import Header
from tests.benchmarks.secagg import peer
from tests.benchmarks.secagg.__main__ import main
from tests.benchmarks.secagg.figures import KEYS
from tests.benchmarks.secagg.parties import Setting, play
from tests.benchmarks.secagg.semi_honest import SemiHonestHeaderForBenchmarksOnly


@pytest.mark.long
def test_the_quick_run_ends_with_the_promised_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--quick", "--out", str(tmp_path)]) == 0

    figures = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert tuple(figures) == KEYS
    compared = {key for key in KEYS if "ratio" in key}
    missing = {key for key, value in figures.items() if value is None}
    assert missing == (set() if peer.installed() else compared)
    assert all(value > 0 for value in figures.values() if value is not None)
    assert 1 < figures["memory_vectors"] < 8
    if peer.installed():  # sizes, not times
        assert 1.5 < figures["upload_ratio_uint32"] < figures["upload_ratio_uint16"]
    page = (tmp_path / "secagg.md").read_text()
    assert all(f"({name})" in page for name in ("secagg-n.svg", "secagg-d.svg", "secagg-dropout.svg"))
    assert all(path.stat().st_size > 1000 for path in tmp_path.glob("*.svg"))


def test_every_party_is_on_a_clock_of_its_own() -> None:
    measured = play(Setting(n=50, d=100, lost=5))

    assert measured.count == 45
    assert measured.client > 0
    assert set(measured.server) == {
        "advertise",
        "share_keys",
        "masked_input",
        "consistency",
        "unmask",
        "release",
    }
    assert all(seconds > 0 for seconds in measured.server.values())


def test_a_semi_honest_header_is_not_one_that_anybody_reads() -> None:
    comparison = Setting(n=100, d=10, lost=10, k=40, t=11).header()
    ours = Setting(n=100, d=10, lost=10).header()

    assert isinstance(comparison, SemiHonestHeaderForBenchmarksOnly)
    assert comparison.threshold(100) == 11
    with pytest.raises(RemoteProtocolError):
        Header.from_bytes(comparison.to_bytes())
    assert type(ours) is Header
    assert Header.from_bytes(ours.to_bytes()) == ours


def test_the_package_knows_no_semi_honest_profile() -> None:
    sources = Path(__file__).parents[2].glob("aggregation/**/*.py")
    assert not [path for path in sources if "semi_honest" in path.read_text().lower()]
