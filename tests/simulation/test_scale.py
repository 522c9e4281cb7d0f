"""The scheduler at the size of a whole population, checked where it is small: shards draw what one list would draw, and nobody twice in a pass."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.scale import costs, page
from tests.benchmarks.scale.costs import Costs
from tests.benchmarks.scale.simulation import Scheduler, at_once, compare, draw, mixed
from tests.benchmarks.scale.world import DAY, World, needs
from wallets.distributor.services import draw as distributor

COSTS = Costs(
    d=1_000,
    server_cpu_s=0.01,
    draw_cpu_s=5e-6,
    idle_bytes=40_960,
    connects_per_s=800,
    push_gas=30_000,
    settle_gas=40_000,
    publish_gas=50_000,
)
SMALL = World(wallets=40_000, collectives=20, cohort=100, visits_per_wallet=2.0, distributor_shards=8)


def keys(ids: Any) -> list[str]:
    return [hashlib.sha256(int(n).to_bytes(8, "big")).hexdigest() for n in ids]


def real_rank(number: int, ids: Any) -> Any:
    """The distributor's own, cut to the 64 bits that decide."""
    job: Any = SimpleNamespace(log_root="11" * 32, cohort_key=b"\x22" * 32)
    rank = distributor.ranking(job, number)
    ranks = [int.from_bytes(rank(key)[:8], "big") for key in keys(ids)]
    return np.array(ranks, dtype=np.uint64)


@pytest.mark.parametrize("wanted", [1, 40, 399, 400, 1_000])
def test_shards_draw_what_one_list_would_draw(wanted: int) -> None:
    """The distributor's rule over one list, spelled out, against the merged offers of seven shards."""
    ids = np.arange(400)
    times = (ids * 7 % 5 // 2).astype(np.uint16)
    expected = sorted(range(400), key=lambda n: (times[n], int(real_rank(3, ids[n : n + 1])[0])))[:wanted]
    found = draw(ids, times, ids % 7, wanted, 3, real_rank)
    assert list(found) == expected
    assert list(at_once(ids, times, wanted, 3, real_rank)) == expected


def test_a_rank_of_another_round_draws_others() -> None:
    ids, times = np.arange(10_000), np.zeros(10_000, dtype=np.uint16)
    first, second = (set(draw(ids, times, ids % 4, 100, number, mixed(1))) for number in (1, 2))
    assert len(first) == len(second) == 100
    assert len(first & second) < 12


@pytest.fixture(scope="module")
def small() -> tuple[Any, Any]:
    found = needs(SMALL, COSTS)
    return found, Scheduler(SMALL, COSTS, found.aggregator_cores, seed=5).run()


def test_a_small_day_agrees_with_its_arithmetic(small: tuple[Any, Any]) -> None:
    found, day = small
    told = compare(SMALL, found, day)
    assert (day.rounds, day.visits) == (found.rounds, SMALL.visits)
    assert (day.short_rounds, day.drawn_out_of_turn, day.shards_disagree) == (0, 0, 0)
    assert sum(day.busy) == pytest.approx(found.aggregator_cpu_s)
    for name, tolerance in (("peak_visits_per_s", 0.15), ("running_rounds", 0.15), ("paid_wallets", 0.05)):
        arithmetic, simulated = told[name]
        assert simulated == pytest.approx(arithmetic, rel=tolerance), name
    assert told["peak_connections"][1] <= told["peak_connections"][0] * 1.05
    assert told["aggregator_utilisation"] < SMALL.utilisation


def test_the_figures_stand_between_their_marks(small: tuple[Any, Any], tmp_path: Path) -> None:
    found, day = small
    result = {
        "compared": compare(SMALL, found, day),
        "needs": asdict(found),
        "world": asdict(SMALL),
        "costs": asdict(COSTS),
    }
    file = tmp_path / "scale.md"
    file.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n", encoding="utf-8")
    page.write(file, result)
    text = file.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "| wallets connected, busiest moment | 24,000 |" in text
    assert "old" not in text
    file.write_text("no marks", encoding="utf-8")
    with pytest.raises(ValueError, match="no place for figures"):
        page.write(file, result)


def test_the_page_was_written_from_the_unit_costs_that_are_on_record() -> None:
    """Otherwise: `make scale`, a minute."""
    known = costs.read()
    used = json.loads((costs.ROOT / "docs" / "benchmarks" / "scale.json").read_text(encoding="utf-8"))[
        "costs"
    ]
    assert used == json.loads(json.dumps(asdict(known)))
    text = (costs.ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert f"CPU at {1000 * known.server_cpu_s:.1f} ms a visit" in text


def test_every_unit_earned_is_paid_or_carried(small: tuple[Any, Any]) -> None:
    _, day = small
    assert day.earned == SMALL.visits * SMALL.rate
    assert day.paid % SMALL.lot == 0
    assert 0 <= day.carried < SMALL.wallets * SMALL.lot


def test_with_a_third_of_the_cores_rounds_wait() -> None:
    """The simulation can say no: too few cores show as rounds that wait for their sums."""
    dear = replace(COSTS, server_cpu_s=2.0)
    needed = needs(SMALL, dear).aggregator_cores
    right = Scheduler(SMALL, dear, needed, seed=5).run()
    less = Scheduler(SMALL, dear, max(1, needed // 3), seed=5).run()
    assert np.quantile(less.waits, 0.9) > 3 * np.quantile(right.waits, 0.9)


def test_arithmetic_grows_with_the_population() -> None:
    one, ten = needs(World(wallets=1_000_000), COSTS), needs(World(wallets=10_000_000), COSTS)
    for name in ("aggregator_cpu_s", "peak_connections", "socket_memory_gib", "ledger_rows", "paid_wallets"):
        assert getattr(ten, name) == pytest.approx(10 * getattr(one, name), rel=0.001), name
    assert one.visits_per_s == pytest.approx(1_000_000 / DAY)
