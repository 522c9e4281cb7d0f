"""The protocol page says what the tables and the code say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from aggregation.secagg.messages import SignedMessage
from tests.unit.secagg.test_decoders import KINDS

ROOT = Path(__file__).resolve().parents[3]


def test_phase_tables_are_generated_from_the_code() -> None:
    script = ROOT / "docs" / "protocol" / "phase_tables.py"
    assert subprocess.run([sys.executable, str(script), "--check"], check=False).returncode == 0


def test_every_message_kind_and_label_is_described() -> None:
    page = (ROOT / "docs" / "protocol" / "secagg.md").read_text("utf-8")
    for kind in KINDS:
        assert f"**{kind.__name__}** `{kind.KIND}`" in page
        if issubclass(kind, SignedMessage):
            assert f"`{kind.LABEL.decode()}`" in page
