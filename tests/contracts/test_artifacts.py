"""What is checked in is what the sources say."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from tests.contracts.evm import ARTIFACTS

CONTRACTS = ARTIFACTS.parent
NAMES = sorted(path.stem for path in (CONTRACTS / "src").glob("*.sol"))


def test_every_contract_has_its_artifact_and_nothing_else_does() -> None:
    assert sorted(path.stem for path in ARTIFACTS.glob("*.json")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_an_artifact_is_made_from_the_source_of_today(name: str) -> None:
    source = (CONTRACTS / "src" / f"{name}.sol").read_bytes()
    found = json.loads((ARTIFACTS / f"{name}.json").read_text(encoding="utf-8"))

    assert found["sourceHash"] == hashlib.sha256(source).hexdigest(), "run `make contracts`"


@pytest.mark.parametrize("name", NAMES)
def test_everything_public_is_documented(name: str) -> None:
    """NatSpec stands before every external function, event, error, struct and public variable."""
    lines = (CONTRACTS / "src" / f"{name}.sol").read_text(encoding="utf-8").splitlines()
    public = re.compile(r"^    (event|error|struct) |^    function .*|^    .*\b(public|external)\b.*;$")
    bare = [
        line.strip()
        for before, line in pairwise(lines)
        if public.match(line) and not before.strip().startswith("///")
    ]

    assert bare == []


def test_compiling_again_gives_the_same(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not (CONTRACTS / "node_modules").is_dir():
        pytest.skip("not possible here: needs node and `make contracts` once: the compiler is an npm package")
    subprocess.run(
        [node, str(CONTRACTS / "build.mjs"), str(tmp_path)],
        check=True,
        timeout=240,
        capture_output=True,
    )

    for name in NAMES:
        assert (tmp_path / f"{name}.json").read_text() == (ARTIFACTS / f"{name}.json").read_text()
