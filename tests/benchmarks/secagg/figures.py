"""Every figure of the benchmark: the comparison with Flower, the figures of our own, and how they grow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.benchmarks.secagg import peer, vectors
from tests.benchmarks.secagg.parties import Measured, Setting, play

KEYS = (
    "server_cpu_ratio_n100_d10k",
    "server_cpu_ratio_n50_d1m",
    "client_cpu_ratio_n100_d10k",
    "client_cpu_ratio_n50_d1m",
    "upload_ratio_uint32",
    "upload_ratio_uint16",
    "memory_vectors",
    "mask_over_ceiling",
    "unmask_n1000_d1m_cpu_s",
    "round_n1000_d5k_cpu_s",
)
TARGETS = dict(zip(KEYS, (300, 25, 10, 6, 1.9, 3.5, 4, 1.5, 6, 1), strict=True))
AT_MOST = set(KEYS[6:])
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How large a run is. `quick` keeps every figure and shrinks its size, for seeing that all of it works."""

    small: Setting
    large: Setting
    many: Setting
    unmask: Setting
    repeats: int
    peer_repeats: int
    memory: tuple[tuple[int, int], ...]
    mask_words: int
    grow_n: tuple[int, ...]
    grow_d: tuple[int, ...]
    grow_lost: tuple[int, ...]
    grow_lost_d: int
    grow_d_n: int = 50


FULL = Plan(
    small=Setting(n=100, d=10_000, lost=10, k=40, t=11),
    large=Setting(n=50, d=1_000_000, lost=5, k=49, t=38),
    many=Setting(n=1000, d=5_000, lost=100),
    unmask=Setting(n=1000, d=1_000_000, lost=100),
    repeats=5,
    peer_repeats=1,
    memory=((50, 1_000_000), (100, 1_000_000)),
    mask_words=1_000_000,
    grow_n=(50, 100, 200, 400, 700, 1000),
    grow_d=(10_000, 30_000, 100_000, 300_000, 1_000_000),
    grow_lost=(0, 5, 10, 15, 20, 25, 30),
    grow_lost_d=100_000,
)
QUICK = Plan(
    small=Setting(n=24, d=2_000, lost=2, k=12, t=4),
    large=Setting(n=24, d=20_000, lost=2, k=23, t=18),
    many=Setting(n=100, d=2_000, lost=10),
    unmask=Setting(n=50, d=50_000, lost=5),
    repeats=1,
    peer_repeats=1,
    memory=((24, 500_000),),
    mask_words=200_000,
    grow_n=(50, 100),
    grow_d=(1_000, 10_000),
    grow_lost=(0, 30),
    grow_lost_d=2_000,
)


@dataclass(kw_only=True)
class Figures:
    """`values` by the names in KEYS; None where the peer's environment is missing. The rest is for the tables and plots."""

    values: dict[str, float | None] = field(default_factory=lambda: dict.fromkeys(KEYS))
    compared: list[dict[str, Any]] = field(default_factory=list)
    rounds: dict[str, float] = field(default_factory=dict)
    rounds_cpu: list[float] = field(default_factory=list)
    """The aggregator's CPU seconds of every whole round, ascending; `rounds` is the first of them."""
    unmask: dict[str, float] = field(default_factory=dict)
    memory: list[tuple[int, int, float]] = field(default_factory=list)
    ceiling_bytes_per_second: float = 0.0
    by_n: list[tuple[int, float, float]] = field(default_factory=list)
    """(n, aggregator's CPU seconds, one wallet's)."""
    by_d: list[tuple[int, float, float]] = field(default_factory=list)
    by_lost: list[tuple[int, float, float]] = field(default_factory=list)
    """(per cent lost, aggregator's CPU seconds, one wallet's)."""


def by_cpu(setting: Setting, repeats: int) -> list[Measured]:
    """Rounds by the aggregator's CPU."""
    return sorted((play(setting) for _ in range(repeats)), key=lambda measured: measured.server_cpu)


def typical(setting: Setting, repeats: int) -> Measured:
    """The round with the median of the aggregator's CPU."""
    return by_cpu(setting, repeats)[repeats // 2]


def measure(plan: Plan, say: Say) -> Figures:
    figures = Figures()
    for part in (_compare, _own, _growth):
        part(plan, figures, say)
        # Said as soon as known: the whole takes long, and on a busy machine very long.
        known = {key: round(value, 4) for key, value in figures.values.items() if value is not None}
        say(f"so far: {known}")
    return figures


def _compare(plan: Plan, figures: Figures, say: Say) -> None:
    names = (("n100_d10k", plan.small), ("n50_d1m", plan.large))
    for name, setting in names:
        say(f"ours: n={setting.n} d={setting.d} k={setting.k} t={setting.t}")
        before = typical(setting, -(-plan.repeats // 2))
        theirs = _peer(setting, plan.peer_repeats, say)
        # Rounds before and after the peer's, so that a machine that got busier meanwhile counts for both.
        after = typical(setting, -(-plan.repeats // 2))
        ours = {
            "server_cpu": (before.server_cpu + after.server_cpu) / 2,
            "client_cpu": (before.client + after.client) / 2,
        }
        row: dict[str, Any] = {"setting": setting, **ours, "upload": after.upload, "peer": theirs}
        row["upload16"] = play(_in_16_bits(setting)).upload
        figures.compared.append(row)
        if theirs is not None:
            figures.values[f"server_cpu_ratio_{name}"] = theirs.server_cpu / ours["server_cpu"]
            figures.values[f"client_cpu_ratio_{name}"] = theirs.client_cpu / ours["client_cpu"]
    compared = [row for row in figures.compared if row["peer"] is not None]
    if compared:  # the worse of the two settings
        figures.values["upload_ratio_uint32"] = min(row["peer"].upload / row["upload"] for row in compared)
        largest = compared[-1]  # where the vector is what is uploaded, as the target means it
        figures.values["upload_ratio_uint16"] = largest["peer"].upload / largest["upload16"]


def _peer(setting: Setting, repeats: int, say: Say) -> peer.Peer | None:
    if not peer.installed():
        say("no .venv-peers: the comparison is left out (make bench-peers)")
        return None
    say("Flower: the same")
    runs = [
        peer.flower(n=setting.n, d=setting.d, lost=setting.lost, k=setting.k, t=setting.t)
        for _ in range(repeats)
    ]
    return peer.Peer(
        server_cpu=median(run.server_cpu for run in runs),
        client_cpu=median(run.client_cpu for run in runs),
        upload=runs[0].upload,
        error=max(run.error for run in runs),
    )


def _in_16_bits(setting: Setting) -> Setting:
    return Setting(**{**setting.__dict__, "ring_bits": 16})


def _own(plan: Plan, figures: Figures, say: Say) -> None:
    say("mask expansion against the cipher alone")
    ratio, speed = vectors.mask_over_ceiling(plan.mask_words, 4 * plan.repeats + 1)
    figures.values["mask_over_ceiling"], figures.ceiling_bytes_per_second = ratio, speed
    for n, d in plan.memory:
        say(f"memory: n={n} d={d}")
        figures.memory.append((n, d, vectors.memory_vectors(n, d)))
    figures.values["memory_vectors"] = max(found for _, _, found in figures.memory)
    say(f"a round: n={plan.many.n} d={plan.many.d}")
    # No ratio whose other side suffers alike: what others do on the machine only adds, so the least is nearest to what the work takes.
    rounds = by_cpu(plan.many, plan.repeats)
    many, figures.rounds_cpu = rounds[0], [measured.server_cpu for measured in rounds]
    figures.rounds = {**many.server, "wallet": many.client}
    figures.values["round_n1000_d5k_cpu_s"] = many.server_cpu
    say(f"unmasking: n={plan.unmask.n} d={plan.unmask.d}")
    figures.unmask = vectors.unmasking(plan.unmask)
    figures.values["unmask_n1000_d1m_cpu_s"] = figures.unmask["cpu"]


def _growth(plan: Plan, figures: Figures, say: Say) -> None:
    say("growth with n, d and dropout")
    for n in plan.grow_n:
        measured = play(Setting(n=n, d=5_000, lost=n // 10))
        figures.by_n.append((n, measured.server_cpu, measured.client))
    for d in plan.grow_d:
        measured = play(Setting(n=plan.grow_d_n, d=d, lost=plan.grow_d_n // 10))
        figures.by_d.append((d, measured.server_cpu, measured.client))
    for percent in plan.grow_lost:
        # The least threshold the protocol allows, so that buckets of 50 survive the loss of almost a third.
        measured = play(Setting(n=100, d=plan.grow_lost_d, lost=percent, t=26))
        figures.by_lost.append((percent, measured.server_cpu, measured.client))
