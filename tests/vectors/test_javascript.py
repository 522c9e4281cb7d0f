"""The published vectors, replayed in Node by the modules of the browser wallet. The tab does the same: tests/e2e/test_wallet_vectors.py."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.tab.node import node

HERE = Path(__file__).parent
JAVASCRIPT = HERE / "javascript"
NAMES = sorted(path.stem for path in HERE.glob("*.json"))


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """Suite -> {checks, failures}."""
    done = subprocess.run([node(), JAVASCRIPT / "node.js"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_tab_computes_what_the_vectors_say(report: dict[str, Any], name: str) -> None:
    assert report[name]["failures"] == []
    assert report[name]["checks"] >= 4


def test_a_changed_vector_is_noticed(tmp_path: Path) -> None:
    """The runner is no rubber stamp: one flipped bit in a file is a failure that names what differs."""
    copy = tmp_path / "tests" / "vectors"
    shutil.copytree(JAVASCRIPT, copy / "javascript")
    (tmp_path / "static").symlink_to(HERE.parent.parent / "static")
    for name in ("shamir", "noise"):
        text = (HERE / f"{name}.json").read_text("utf-8")
        (copy / f"{name}.json").write_text(text)
    data = json.loads((copy / "shamir.json").read_text())
    data["shares"][2]["share"] = f"{int(data['shares'][2]['share'], 16) ^ 1:016x}"
    (copy / "shamir.json").write_text(json.dumps(data))

    done = subprocess.run(
        [node(), copy / "javascript" / "node.js", "shamir", "noise"],
        capture_output=True,
        text=True,
        timeout=60,
    )

    found = json.loads(done.stdout)
    assert [text.split(":")[0] for text in found["shamir"]["failures"]] == ["share 3"]
    assert found["noise"]["failures"] == []
