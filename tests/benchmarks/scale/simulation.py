"""A day of the scheduler, wallet by wallet: who is connected, who is drawn by which shard, which core sums which bucket, who is paid.

The rule of the draw is the distributor's: fewest draws first, then a pseudo-random rank that depends on the round; who is away keeps the
turn. Here it is cut into shards: each offers its best by the same rule and the offers are merged, so that the union is what one list would
have drawn. `tests/simulation/test_scale.py` compares both.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.benchmarks.scale.costs import Costs
from tests.benchmarks.scale.world import BUCKET, DAY, Needs, World

CHECK_EVERY = 100
Array = np.ndarray[Any, Any]
Rank = Callable[[int, Array], Array]
"""(round, wallet numbers) → their ranks in that round, uint64."""


def mixed(seed: int) -> Rank:
    """Ranks for many: the finaliser of SplitMix64 in place of an HMAC, cheap enough for ten thousand draws of a hundred thousand."""

    def rank(number: int, ids: Array) -> Array:
        with np.errstate(over="ignore"):
            x = ids.astype(np.uint64) + np.uint64(
                (seed * 0x9E3779B97F4A7C15 + number * 0xD1B54A32D192ED03) % 2**64
            )
            x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            return x ^ (x >> np.uint64(31))

    return rank


def draw(ids: Array, times: Array, shards: Array, wanted: int, number: int, rank: Rank) -> Array:
    """Places in `ids` that are drawn, in order of the draw.

    Each shard sorts its own part and offers at most `wanted` of it; the offers are merged. A shard so never tells more than its
    best candidates' (times drawn, rank), and no list of all wallets exists anywhere.
    """
    offers: list[Array] = []
    for shard in np.unique(shards):
        mine = np.flatnonzero(shards == shard)
        offers.append(_first(mine, times, rank(number, ids[mine]), wanted))
    offered = np.concatenate(offers) if offers else np.empty(0, dtype=np.int64)
    return _first(offered, times, rank(number, ids[offered]), wanted)


def at_once(ids: Array, times: Array, wanted: int, number: int, rank: Rank) -> Array:
    """What `draw` answers, found in one pass over all shards' candidates, for days of ten thousand draws."""
    places = np.arange(len(ids))
    ranks = rank(number, ids)
    if len(places) > wanted:
        keys = (times.astype(np.uint64) << np.uint64(48)) | (ranks >> np.uint64(16))
        places = np.argpartition(keys, wanted - 1)[:wanted]
    return places[np.lexsort((ranks[places], times[places]))]


def _first(places: Array, times: Array, ranks: Array, wanted: int) -> Array:
    """The first `wanted` of these places by (times drawn, rank)."""
    drawn = times[places]
    if len(places) > wanted:
        # Whole classes of "drawn so often" go in until one does not fit; only that one is cut by rank.
        counts = np.bincount(drawn)
        last = int(np.searchsorted(np.cumsum(counts), wanted))
        near = drawn <= last
        places, ranks, drawn = places[near], ranks[near], drawn[near]
    order = np.lexsort((ranks, drawn))
    return places[order[:wanted]]


@dataclass(kw_only=True)
class Day:
    """What came of a day."""

    rounds: int = 0
    visits: int = 0
    short_rounds: int = 0
    drawn_out_of_turn: int = 0
    shards_disagree: int = 0
    """Draws in which shards' merged offers were not what one list would have drawn; every `CHECK_EVERY`th is looked at."""
    waits: list[float] = field(default_factory=list)
    """Per round: seconds that its last bucket waited for a core or was summed, beyond the wallets' own time."""
    busy: list[float] = field(default_factory=list)
    """Per core: seconds of work."""
    running: list[int] = field(default_factory=list)
    """Rounds that ran when each round began, itself included."""
    run_seconds: float = 0.0
    began: list[float] = field(default_factory=list)
    peak_online: int = 0
    looked_at: int = 0
    shard_spread: float = 0.0
    """Draws of the busiest shard over the mean."""
    paid_wallets: int = 0
    earned: int = 0
    paid: int = 0
    carried: int = 0


class Scheduler:
    """One day of `world` on so many cores."""

    def __init__(self, world: World, costs: Costs, cores: int, *, seed: int) -> None:
        self.world, self._costs, self._rank = world, costs, mixed(seed)
        self._rng = np.random.default_rng(seed)  # noqa: TID251 - a simulation, nothing of it reaches a wallet
        count = world.wallets
        noon = self._rng.integers(0, DAY, count, dtype=np.int32)
        """When a wallet's hours of being connected are half over."""
        self._members = [self._subscribers(n) for n in range(world.collectives)]
        self._noon = [noon[ids] for ids in self._members]
        self._shard = [
            (ids.astype(np.int64) * 2654435761 >> 7) % world.distributor_shards for ids in self._members
        ]
        self._shard = [found.astype(np.uint16) for found in self._shard]
        self._times = [np.zeros(len(ids), dtype=np.uint16) for ids in self._members]
        self._visits = np.zeros(count, dtype=np.uint32)
        self._per_shard = np.zeros(world.distributor_shards, dtype=np.int64)
        self._free = [(0.0, core) for core in range(cores)]
        self.day = Day(busy=[0.0] * cores)

    def _subscribers(self, collective: int) -> Array:
        """Wallet numbers, ascending: every wallet is in `subscriptions` collectives, evenly."""
        step, share = self.world.collectives, self.world.subscriptions
        ids = np.arange(self.world.wallets, dtype=np.uint32)
        return ids[(ids + np.uint32(collective)) % np.uint32(step) < share]

    def run(self, say: Callable[[str], None] = lambda line: None) -> Day:
        """Rounds begin when their collective's last one ended and its share of the day's visits is not yet made."""
        world = self.world
        ends: list[tuple[float, int]] = []
        waiting = [(self._when(n, 0), n) for n in range(world.collectives)]
        heapq.heapify(waiting)
        quota = -(-world.rounds // world.collectives)
        made = [0] * world.collectives
        while waiting:
            now, collective = heapq.heappop(waiting)
            while ends and ends[0][0] <= now:
                heapq.heappop(ends)
            over = self._round(now, collective, made[collective])
            heapq.heappush(ends, (over, collective))
            self.day.running.append(len(ends))
            self.day.began.append(now)
            self.day.run_seconds += over - now
            made[collective] += 1
            if made[collective] < quota:
                heapq.heappush(waiting, (max(over, self._when(collective, made[collective])), collective))
            if self.day.rounds % max(1, world.rounds // 10) == 0:
                say(f"{self.day.rounds:,} of {world.rounds:,} rounds, {now / 3600:.1f} h of the day")
        self._settle()
        mean = self._per_shard.mean()
        self.day.shard_spread = float(self._per_shard.max() / mean) if mean else 0.0
        return self.day

    def _when(self, collective: int, index: int) -> float:
        """Rounds are asked for where the wallets are: more by day than by night, as `swing` says."""
        quota = -(-self.world.rounds // self.world.collectives)
        part = (index + (collective + 0.5) / self.world.collectives) / quota
        return DAY * _inverse(part, self.world.swing)

    def _online(self, noon: Array, now: float) -> Array:
        """Which of these are connected: each for its own hours, more wallets by day than by night."""
        share = self.world.online * (1 + self.world.swing * np.sin(2 * np.pi * (now / DAY - 0.25)))
        away = np.abs(noon - np.int32(now % DAY))
        return np.minimum(away, DAY - away) < np.int32(share * DAY / 2)

    def _round(self, now: float, collective: int, number: int) -> float:
        world, ids, times = self.world, self._members[collective], self._times[collective]
        here = np.flatnonzero(self._online(self._noon[collective], now))
        self.day.peak_online = max(self.day.peak_online, int(len(here) * world.wallets / max(1, len(ids))))
        self.day.looked_at += len(here)
        wanted, turn = int(world.cohort * world.over_selection), number * world.collectives + collective
        chosen = at_once(ids[here], times[here], wanted, turn, self._rank)
        shards = self._shard[collective][here]
        if self.day.rounds % CHECK_EVERY == 0:
            merged = draw(ids[here], times[here], shards, wanted, turn, self._rank)
            self.day.shards_disagree += not np.array_equal(merged, chosen)
        self._per_shard += np.bincount(shards[chosen], minlength=world.distributor_shards)
        cohort = here[chosen[: world.cohort]]
        self.day.drawn_out_of_turn += self._out_of_turn(times, here, here[chosen])
        times[cohort] += 1  # the surplus that accepted first keeps its turn
        self._visits[ids[cohort]] += 1
        self.day.rounds += 1
        self.day.visits += len(cohort)
        self.day.short_rounds += len(cohort) < world.cohort
        return self._sum(now + world.round_seconds, len(cohort))

    def _out_of_turn(self, times: Array, here: Array, chosen: Array) -> int:
        """Wallets drawn although a connected one that was drawn less often was left out."""
        left = np.zeros(len(times), dtype=bool)
        left[here] = True
        left[chosen] = False
        return int((times[chosen] > times[left].min()).sum()) if left.any() else 0

    def _sum(self, arrived: float, visits: int) -> float:
        """Each bucket is one core's work; the root adds bucket sums, which is a thousandth of it. When the round is over."""
        last = arrived
        for start in range(0, visits, BUCKET):
            free, core = heapq.heappop(self._free)
            work = min(BUCKET, visits - start) * self._costs.server_cpu_s
            done = max(arrived, free) + work
            self.day.busy[core] += work
            heapq.heappush(self._free, (done, core))
            last = max(last, done)
        self.day.waits.append(last - arrived)
        return last

    def _settle(self) -> None:
        """The day's epoch: whole lots are paid, the rest is carried. The carry before today is even: an unknown part of a lot."""
        world, day = self.world, self.day
        per_lot = world.lot // world.rate
        before = self._rng.integers(0, per_lot, world.wallets, dtype=np.uint32)
        lots = (self._visits + before) // per_lot - before // per_lot
        day.paid_wallets = int((lots > 0).sum())
        day.earned = int(self._visits.sum()) * world.rate
        day.paid = int(lots.sum()) * world.lot
        day.carried = (int(self._visits.sum()) + int(before.sum())) * world.rate - day.paid


def _inverse(part: float, swing: float) -> float:
    """The moment of a day (0 to 1) until which this part of a day's work falls due, when work follows 1 + swing·sin(2π(t − ¼))."""
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        due = middle - swing / (2 * np.pi) * (np.cos(2 * np.pi * (middle - 0.25)) - np.cos(-np.pi / 2))
        low, high = (middle, high) if due < part else (low, middle)
    return low


def busiest_hour(day: Day, world: World) -> float:
    """Visits per second in the hour with most rounds."""
    hours = np.bincount(np.minimum(np.array(day.began) // 3600, 23).astype(int), minlength=24)
    return float(hours.max() * world.cohort / 3600)


def compare(world: World, found: Needs, day: Day) -> dict[str, Any]:
    """Arithmetic beside simulation, for the report."""
    waits = np.array(day.waits)
    return {
        "wallets": world.wallets,
        "rounds": day.rounds,
        "visits": day.visits,
        "short_rounds": day.short_rounds,
        "drawn_out_of_turn": day.drawn_out_of_turn,
        "shards_disagree": day.shards_disagree,
        "peak_visits_per_s": [round(found.peak_visits_per_s, 1), round(busiest_hour(day, world), 1)],
        "running_rounds": [round(found.running_rounds, 1), round(day.run_seconds / DAY, 1)],
        "peak_connections": [found.peak_connections, day.peak_online],
        "aggregator_cpu_s": [round(found.aggregator_cpu_s), round(sum(day.busy))],
        "aggregator_cores": found.aggregator_cores,
        "aggregator_utilisation": round(sum(day.busy) / len(day.busy) / DAY, 3),
        "wait_p50_s": round(float(np.quantile(waits, 0.5)), 3),
        "wait_p99_s": round(float(np.quantile(waits, 0.99)), 3),
        "shard_spread": round(day.shard_spread, 3),
        "paid_wallets": [found.paid_wallets, day.paid_wallets],
        "gas_per_visit": round(found.gas_per_visit, 1),
        "chain_seconds": round(found.chain_seconds),
    }
