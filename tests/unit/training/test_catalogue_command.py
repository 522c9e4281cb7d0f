"""The catalogue's command: it lists, prints a manifest that can be submitted, and says what is wrong in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collectives.terms.algorithm import parse_manifest
from collectives.training import catalogue
from collectives.training.catalogue.__main__ import main
from marketplace.demo import job_performance


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "requirement.json"
    path.write_text(json.dumps(job_performance.requirement()))
    return str(path)


def test_it_lists_every_entry(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [entry.name for entry in catalogue.entries()]


def test_it_prints_a_manifest(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = ["mlp", file, "--inputs", "job_title, peer_review", "--target", "skills", "--purpose", "To learn."]
    assert main(said) == 0
    printed = parse_manifest(capsys.readouterr().out)
    assert (printed.inputs, printed.target) == (("job_title", "peer_review"), ("skills",))
    assert printed.purpose == "To learn."


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (["mlp", "--inputs", "age"], "no field age"),
        (["oak", "--inputs", "job_title"], "The catalogue has no oak"),
    ],
)
def test_it_says_what_is_wrong(
    file: str, change: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *rest = change
    assert main([name, file, *rest, "--target", "skills"]) == 2
    assert sentence in capsys.readouterr().err


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mlp", "nowhere.json", "--inputs", "a"]) == 2
    assert "nowhere.json" in capsys.readouterr().err
