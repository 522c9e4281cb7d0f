"""The protocol pages say what the tables and the code say: fields, sizes, ranges, kinds, labels, codes and diagrams."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from aggregation.secagg.errors import Fault, RemoteProtocolError
from aggregation.secagg.messages import Message, SignedMessage
from tests.unit.secagg.tamper import changed
from tests.unit.secagg.test_decoders import KINDS, samples

PROTOCOL = Path(__file__).resolve().parents[3] / "docs" / "protocol"
PAGE, MESSAGES = PROTOCOL / "secagg.md", PROTOCOL / "messages.md"


@pytest.mark.parametrize("script", ["phase_tables.py", "phase_diagrams.py"])
def test_phase_tables_and_diagrams_are_generated_from_the_code(script: str) -> None:
    command = [sys.executable, str(PROTOCOL / script), "--check"]
    assert subprocess.run(command, check=False).returncode == 0, f"run python docs/protocol/{script}"


def test_every_message_kind_and_label_is_described() -> None:
    page, messages = PAGE.read_text("utf-8"), MESSAGES.read_text("utf-8")
    for kind in KINDS:
        assert f"**{kind.__name__}** `{kind.KIND}`" in page
        assert f"### {kind.__name__} `{kind.KIND}`\n" in messages
        if issubclass(kind, SignedMessage):
            assert f"`{kind.LABEL.decode()}`" in page
            assert f"`{kind.LABEL.decode()}`" in section(kind)


def section(kind: type[Message]) -> str:
    """The page's text about one message."""
    page = MESSAGES.read_text("utf-8")
    start = page.index(f"### {kind.__name__} `")
    return re.split(r"\n##", page[start + 3 :])[0]


def rows(kind: type[Message]) -> dict[str, tuple[str, str]]:
    """Field → type and size of its table."""
    found = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*?) \|", section(kind), re.MULTILINE)
    return {name: (form, size) for name, form, size in found}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_field_has_its_row_in_order(kind: type[Message]) -> None:
    stated = rows(kind)
    assert set(stated) == {field.name for field in fields(kind)}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_stated_sizes_and_ranges_are_the_codes(kind: type[Message]) -> None:
    """Just inside is decoded (or refused for another reason), just outside is refused with the stated code."""
    data, tried = samples()[kind], 0
    for name, (form, size) in rows(kind).items():
        if form == "bytes" and size.isdigit():
            for length in (int(size) - 1, int(size) + 1):
                assert code_of(kind, changed(data, **{name: bytes(length)})) == "malformed", name
            tried += 1
        elif form == "int" and (limits := re.fullmatch(r"(\d+) … (\d+)", size)):
            low, high = map(int, limits.groups())
            assert code_of(kind, changed(data, **{name: low - 1})) == "out_of_range", name
            assert code_of(kind, changed(data, **{name: high + 1})) == "out_of_range", name
            assert "must lie within" not in str(refusal(kind, changed(data, **{name: high}))), name
            tried += 1
        assert code_of(kind, changed(data, **{name: None})) == "malformed", name
    assert tried >= 2


def refusal(kind: type[Message], data: bytes) -> RemoteProtocolError | None:
    try:
        kind.from_bytes(data)
    except RemoteProtocolError as error:
        return error
    return None


def code_of(kind: type[Message], data: bytes) -> str:
    error = refusal(kind, data)
    return error.code if error is not None else "accepted"


def test_every_code_a_section_names_exists_and_every_receivers_code_is_named() -> None:
    page = MESSAGES.read_text("utf-8")
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+|malformed|expired|stranger|duplicate)`", page))
    known = {fault.value for fault in Fault} | {"bad_shares", "bad_escrow"}
    field_names = {field.name for kind in KINDS for field in fields(kind)}
    assert named - field_names <= known, named - field_names - known
    local = {"closed", "wrong_update"}
    """Told to the own caller only, never about a message."""
    assert {fault.value for fault in Fault} - local <= named | {"expired"}
