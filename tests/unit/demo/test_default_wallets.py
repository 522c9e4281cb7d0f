"""How many people of a folder take part when nobody says: as many as fit a coffee break, and it is said."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from marketplace.management.commands.demo import MOST_BY_DEFAULT, _of_folder
from tests.unit.datasets.test_datasets import HEADER, ROWS, write

PEOPLE = MOST_BY_DEFAULT + 7


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [f"t{i},train,{i % 2},40,1,A,0" for i in range(PEOPLE)] + ROWS[2:]
    return write(tmp_path_factory.mktemp("many"), text="\n".join([HEADER, *rows]))


@pytest.mark.parametrize(
    ("asked", "wallets", "said"),
    [
        (
            None,
            MOST_BY_DEFAULT,
            f"2,000 of 2,007 training records get a wallet; with --wallets {PEOPLE} all do",
        ),
        (PEOPLE, PEOPLE, ""),
    ],
)
def test_a_big_folder(many: Path, asked: int | None, wallets: int, said: str) -> None:
    heard = io.StringIO()
    data = _of_folder(many, asked, Console(file=heard, width=200))
    assert len(data.train) == wallets
    assert heard.getvalue().startswith(said)
    assert bool(heard.getvalue()) == bool(said)
