"""Sizes, the notebook and the costs of the founding example."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from marketplace.demo.isolation import PORTS, keep_ports, kept_state
from marketplace.demo.plan import PlanError
from marketplace.demo.result import Metrics
from marketplace.demo.seed_example import report
from marketplace.demo.seed_example.costs import Cost, of_trees
from marketplace.demo.seed_example.notebook import NAME, Notebook
from marketplace.demo.seed_example.result import Result
from marketplace.demo.seed_example.size import RATE, VISITS, WALLETS, Size


def test_the_full_size_is_the_documents() -> None:
    size = Size.of(WALLETS, VISITS)
    assert (size.wallets, size.visits, size.budget) == (100_000, 2_000_000, 10_000 * 10**18)
    assert (size.cohort, size.release_min, size.bucket_min) == (2_000, 100, 38)
    assert size.visits % size.cohort == 0
    assert size.plan().invited() == size.cohort  # nobody above the cohort: the budget comes out even
    assert not size.development


def test_a_scale_shrinks_both_and_too_small_is_refused_with_the_way_out() -> None:
    size = Size.of(WALLETS, VISITS, 0.1)
    assert (size.wallets, size.visits) == (10_000, 200_000)
    with pytest.raises(PlanError, match="--development"):
        Size.of(40, 200)
    small = Size.of(40, 200, development=True)
    assert (small.cohort, small.release_min, small.development) == (13, 13, True)
    assert small.bucket_min <= small.bucket_size
    with pytest.raises(PlanError, match="do not pay"):
        Size.of(1_000, 100)
    with pytest.raises(PlanError, match="A cohort must have"):
        Size.of(1_000, 10_000, cohort=50)
    assert small.budget == 200 * RATE


def test_the_notebook_goes_on_with_the_same_run_only(tmp_path: Path) -> None:
    size = Size.of(400, 2_000)
    book = Notebook.open(tmp_path, size, seed=1)
    book.phase("rounds").cpu["web"] = 2.5
    book.points.append((100, 2.5))
    book.order_id = "o"
    book.save(tmp_path)
    again = Notebook.open(tmp_path, size, seed=1)
    assert again == book
    with pytest.raises(PlanError, match="400 wallets and 2000 visits"):
        Notebook.open(tmp_path, Size.of(500, 2_000), seed=1)
    with pytest.raises(PlanError):
        Notebook.open(tmp_path, size, seed=2)
    assert json.loads((tmp_path / NAME).read_text())["order_id"] == "o"


def test_memory_is_the_largest_seen() -> None:
    book = Notebook(size=Size.of(400, 2_000), seed=1)
    book.note_memory({"web": Cost(cpu=1, memory=30), "host 0": Cost(cpu=1, memory=50)})
    book.note_memory({"web": Cost(cpu=2, memory=60), "host 0": Cost(cpu=2, memory=10)})
    assert (book.peak_memory, book.peak_by_part) == (80, {"web": 60, "host 0": 50})


def test_costs_of_a_tree_include_children_that_ended() -> None:
    burn = "import subprocess, sys, time; subprocess.run([sys.executable, '-c', 'x=0\\nfor i in range(3_000_000): x+=i']); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", burn])
    try:
        limit = time.monotonic() + 60
        while True:
            found = of_trees({"it": process.pid, "gone": 2**22 + 5})
            if found["it"].cpu > 0.1 and not _children(process.pid):
                break
            assert time.monotonic() < limit, found
            time.sleep(0.1)
        assert found["it"].memory > 2**20
        assert found["gone"] == Cost(cpu=0, memory=0)
    finally:
        process.kill()
        process.wait()


def _children(pid: int) -> str:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text()


def test_ports_stay_when_a_run_goes_on_and_when_its_folder_was_emptied(tmp_path: Path) -> None:
    first = {"CSSI_VAR": str(tmp_path)}
    kept_state([], first)
    again = {"CSSI_VAR": str(tmp_path)}
    kept_state(["--development"], again)
    assert [first[name] for name in PORTS] == [again[name] for name in PORTS]
    assert again["CSSI_DEVELOPMENT_MINIMA"] == "True"
    assert "CSSI_DEVELOPMENT_MINIMA" not in first
    (tmp_path / "ports.json").unlink()
    keep_ports(tmp_path, again)
    third = {"CSSI_VAR": str(tmp_path)}
    kept_state([], third)
    assert third["CSSI_PORT"] == first["CSSI_PORT"]
    chosen = {"CSSI_VAR": str(tmp_path), "CSSI_PORT": "4711"}
    kept_state([], chosen)
    assert chosen["CSSI_PORT"] == "4711"


def result(*, paid: int, chain: int) -> Result:
    book = Notebook(size=Size.of(400, 2_000), seed=1, starts=2)
    for name, cpu in (
        ("wallets", 4.0),
        ("subscriptions", 20.0),
        ("enrolment", 6.0),
        ("rounds", 30.0),
        ("settlement", 8.0),
    ):
        book.phase(name).cpu = {"web": cpu / 4, "host 0": 3 * cpu / 4}
    book.points = [(0, 0.0), (1_000, 15.0), (2_000, 30.0)]
    book.note_memory({"web": Cost(cpu=1, memory=2**30)})
    metrics = Metrics(accuracy=0.5, auc=0.7, log_loss=1.0)
    return Result(
        book=book,
        visits=2_000,
        budget=2_000 * RATE,
        spent=2_000 * RATE,
        refunded=0,
        paid=paid,
        carried=0,
        held_over=0,
        lines=[("paid", paid, chain)],
        rounds=20,
        abandoned=0,
        ending="settled",
        recipients=400,
        before=metrics,
        after=metrics,
    )


def test_the_full_size_is_projected_from_cpu_of_everybody(tmp_path: Path) -> None:
    found = result(paid=2_000 * RATE, chain=2_000 * RATE)
    assert found.unit_ms() == {
        "wallets": 10.0,
        "subscriptions": 50.0,
        "enrolment": 15.0,
        "rounds": 15.0,
        "settlement": 20.0,
    }
    hours = found.full_size_hours()
    assert hours["rounds"] == pytest.approx(2_000_000 * 0.015 / 2 / 3600)
    assert sum(hours.values()) == pytest.approx((1_000 + 5_000 + 1_500 + 30_000 + 2_000) / 7200)
    found.book.idle = 0.5  # over ten seconds of rounds: five of the thirty CPU seconds are not the visits'
    found.book.phase("rounds").seconds = 10.0
    assert found.unit_ms()["rounds"] == 12.5
    assert found.full_size_hours()["rounds"] == pytest.approx(2_000_000 * 0.0125 / 1.5 / 3600)
    found.book.idle = 0.0
    figures = found.figures()
    assert figures["ledger_equals_chain"] is True
    assert figures["spent"] == str(10 * 10**18)
    assert not result(paid=2_000 * RATE, chain=2_000 * RATE - 1).figures()["ledger_equals_chain"]
    path = report.write(found, tmp_path)
    text = path.read_text()
    assert "these people do not exist" in text
    assert "stopped and went on 1 times" in text
    assert f"{sum(hours.values()):.2f} (allowed: 8)" in text
    assert "<svg" in text
    assert "Abandoned" not in text
    found.abandoned = 2
    assert "Abandoned rounds: 2; visits proven in them are paid." in report.write(found, tmp_path).read_text()
    assert json.loads((tmp_path / "seed-example.json").read_text())["wallets"] == 400
    assert os.path.getsize(path) > 4_000
