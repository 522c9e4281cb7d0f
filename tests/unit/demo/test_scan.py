"""The scan must find what is there, at any alignment, and must not find what is not."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from marketplace.demo.report import knowledge_table
from marketplace.demo.result import DemoResult
from marketplace.demo.scan import Needle, Place, database_places, scan
from marketplace.demo.who_knows import Fact

EMAIL = Needle(fact=Fact.EMAIL, owner=1, form=b"wallet-17@demo.example")
CANARY = Needle(fact=Fact.PERSONAL_DATA, owner=2, form=b"canary-0a1b2c3d")


@pytest.mark.parametrize("before", range(17))
def test_a_needle_is_found_at_every_alignment(before: int) -> None:
    place = Place(domain="logs", name="file:web.log", data=b"x" * before + CANARY.form + b"tail")

    (finding,) = scan([place], [EMAIL, CANARY])

    assert (finding.fact, finding.hits, len(finding.owners), finding.allowed) == (
        Fact.PERSONAL_DATA,
        1,
        1,
        False,
    )


def test_a_shared_beginning_is_not_enough() -> None:
    place = Place(domain="logs", name="file:web.log", data=b"canary-0ZZZZZZ and wallet-1@")

    assert scan([place], [EMAIL, CANARY]) == []


def test_where_a_fact_may_lie_is_allowed_and_elsewhere_it_is_a_leak() -> None:
    rows = Place(domain="market", name="table:accounts_account", data=EMAIL.form)
    elsewhere = Place(domain="market", name="table:collectives_job", data=EMAIL.form)

    assert [f.allowed for f in scan([rows, elsewhere], [EMAIL])] == [True, False]


def test_owners_are_counted_once_each() -> None:
    other = Needle(fact=Fact.EMAIL, owner=9, form=b"wallet-18@demo.example")
    place = Place(domain="mail", name="file:a", data=b" ".join([EMAIL.form, other.form, EMAIL.form]))

    (finding,) = scan([place], [EMAIL, other])

    assert (finding.hits, len(finding.owners)) == (3, 2)


def test_the_report_counts_the_wallets_of_all_places_together() -> None:
    others = [Needle(fact=Fact.EMAIL, owner=n, form=f"wallet-{n}@demo.example".encode()) for n in (20, 21)]
    letters = [b"".join(n.form for n in others), EMAIL.form + others[0].form]
    places = [Place(domain="mail", name=f"file:{i}", data=data) for i, data in enumerate(letters)]
    result = DemoResult(
        title="", generated_data=True, wallets=3, test_people=0, cohort=3, rounds_planned=0, seed=0
    )
    result.findings = scan(places, [EMAIL, *others])

    (row,) = [row for row in knowledge_table(result) if row["fact"] == Fact.EMAIL.value]

    assert {cell["domain"]: cell["owners"] for cell in row["cells"] if cell["owners"]} == {"mail": 3}


def test_tables_and_the_raw_file_are_both_searched(tmp_path: Path) -> None:
    path = tmp_path / "market.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("create table note (body text, blob blob)")
        connection.execute("insert into note values ('hello', ?)", (CANARY.form,))
    connection.close()

    found = {f.place for f in scan(database_places("market", path), [CANARY])}

    assert found == {"table:note", "file:market.sqlite3"}


def test_a_needle_must_be_long_enough_to_be_told_from_chance() -> None:
    with pytest.raises(ValueError, match="at least 8 bytes"):
        Needle(fact=Fact.EMAIL, owner=0, form=b"short")


def test_thousands_who_begin_alike_are_told_apart() -> None:
    everybody = [
        Needle(fact=Fact.EMAIL, owner=n, form=f"wallet-{n:06d}@demo.example".encode()) for n in range(3000)
    ]
    place = Place(domain="mail", name="file:a", data=b"; ".join(needle.form for needle in everybody[::2]))

    (finding,) = scan([place], everybody)

    assert (finding.hits, len(finding.owners)) == (1500, 1500)
