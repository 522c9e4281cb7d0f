"""`manage.py demo` and `python -m wallets.agent import` given files that cannot be: a sentence, and nothing begun or changed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.apps.cast import REQUIREMENT
from tests.unit.datasets.test_datasets import HEADER, ROWS, SCHEMA
from wallets.agent import cli, vault
from wallets.agent.keyfile import Argon2Cost

FOLDERS: dict[str, tuple[str | bytes, str]] = {
    "wrong columns": ("wallet_id,split,moved\nw,train,1", "lacks the column age, pay, town, car"),
    "unknown value": ("\n".join([HEADER, *ROWS, "w5,train,1,1,1,A,perhaps"]), "car must be 0 or 1"),
    "not UTF-8": (b"wallet_id\xff\xfe", "not UTF-8"),
    "empty file": ("", "is empty"),
    "few people": ("\n".join([HEADER, *ROWS]), "2 wallets are too few"),
}


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first thing a demo does is to take its state folder; it must not come so far."""
    from marketplace.demo.stage import Stage

    def started(self: Stage, *args: Any) -> None:
        pytest.fail("the demo began to start its parts")

    monkeypatch.setattr(Stage, "start", started)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_cannot_be_is_refused_before_anything_starts(
    tmp_path: Path, nothing_starts: None, name: str
) -> None:
    text, words = FOLDERS[name]
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMA))
    raw = text.encode() if isinstance(text, str) else text
    (tmp_path / "data.csv.gz").write_bytes(gzip.compress(raw))
    with pytest.raises(CommandError, match=words):
        call_command("demo", "--data", str(tmp_path), skip_checks=True)


ENUM: dict[str, Any] = {
    **REQUIREMENT,
    "properties": {
        **REQUIREMENT["properties"],
        "title": {
            "type": "string",
            "enum": ["baker", "smith"],
            "title": "Job title",
            "x-feature": {"encode": "one-hot"},
        },
    },
    "required": [*REQUIREMENT["required"], "title"],
}
COLUMNS = "age,hours,rested,title"
IMPORTS: dict[str, tuple[str | bytes, str]] = {
    "wrong columns": ("age,hours\n30,7\n", "columns missing"),
    "a value that is not in the list": (f"{COLUMNS}\n30,7,true,king\n", "title"),
    "a value of other capitals": (f"{COLUMNS}\n30,7,true,Baker\n", "title"),
    "not UTF-8": (f"{COLUMNS}\n30,7,true,b".encode() + b"\xff\n", "not UTF-8"),
    "empty file": ("", "empty"),
    "only a header": (f"{COLUMNS}\n", "row"),
}


@pytest.mark.parametrize("name", IMPORTS)
def test_data_that_cannot_be_is_not_taken_into_the_wallet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    # What a passphrase costs to guess is not the question here, and is paid for three commands each time.
    monkeypatch.setattr(vault, "Argon2Cost", lambda: Argon2Cost(memory_kib=64, passes=1))
    content, words = IMPORTS[name]
    secret, data, wanted = tmp_path / "passphrase", tmp_path / "mine.csv", tmp_path / "requirement.json"
    secret.write_text("a passphrase of my own")
    data.write_bytes(content.encode() if isinstance(content, str) else content)
    wanted.write_text(json.dumps(ENUM))
    wallet = ["--wallet", str(tmp_path / "wallet"), "--passphrase-file", str(secret)]
    assert cli.main([*wallet, "init"]) == 0
    assert cli.main([*wallet, "import", str(data), "--requirement", str(wanted)]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert cli.main([*wallet, "visits", "--format", "json"]) == 0
    assert [entry["kind"] for entry in json.loads(capsys.readouterr().out)] == ["created"]
