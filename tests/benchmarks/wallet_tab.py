"""What a wallet costs in a tab of a real Chromium, against the Python agent in the same run: `make bench-wallet-tab`.

    python -m tests.benchmarks.wallet_tab [--quick] [--docs FOLDER] [--out FILE]

Rounds: one wallet's own part of a whole round with 100 neighbours (keys, shares, masks, agreement, unmasking), by length of the vector. The tab's
client and a Python client are members of the same bucket; up to 10,000 numbers the sum is compared with the plain one. Training: one gradient over one record, by
number of parameters, and one over 32 records, with the same numbers in both; the answers are compared within 1e-6. Both are times by the clock around the work alone, the
tab's by the worker's own clock, and alternate; of each the best of several counts, because a busy machine only adds. Page weight: every file the tab is made of, as it is
and compressed. Ends with one line of JSON; a full run also writes wallet-tab.md, .json and .svg into docs/benchmarks (a quick one only where `--docs` says).
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aggregation.secagg.client import SecAggClient
from collectives.terms.algorithm import parameter_count, parse_manifest
from collectives.training.net import compute_update
from marketplace.demo.chromium import Chromium, Window, installed
from tests.benchmarks import wallet_tab_report as report
from tests.e2e.tab import serving
from tests.unit.secagg.pair import Notes, Wire, header, job_key, member_log

ROOT = Path(__file__).resolve().parents[2]
MEMBERS = 101
EXACT_TO = 10_000
"""Up to so many numbers all members mask and the sum is compared; beyond, only the two that are measured do."""
TOLERANCE = 1e-6
LEAST_MS = 20.0
"""A gradient is repeated until so much time is filled: a browser's clock ticks every tenth of a millisecond."""
KEYS = (
    "tab_round_10k_ms",
    "tab_round_100k_ms",
    "tab_round_over_agent_100k",
    "tab_gradient_10k_ms",
    "tab_gradient_over_agent_10k",
    "tab_batch_ms",
    "page_bytes",
    "page_gzip_bytes",
)


@dataclass(frozen=True, kw_only=True)
class Plan:
    vectors: tuple[int, ...] = (1_000, 10_000, 100_000, 1_000_000)
    widths: tuple[int, ...] = (14, 142, 1_428)
    """Hidden units of 64 → h → 5: about 1,000, 10,000 and 100,000 parameters."""
    batch: tuple[int, int, int, int] = (100, 64, 10, 32)
    """Columns in, hidden units, columns out, records: what the design's prototype was measured with."""
    rounds: int = 3
    gradients: int = 21
    members: int = MEMBERS


QUICK = Plan(vectors=(1_000, 10_000), widths=(14, 142), rounds=1, gradients=3, members=21)


@dataclass(kw_only=True)
class Figures:
    """Milliseconds by the clock, the best of several. `rounds`: d → (tab, agent); `gradients`: parameters → (tab, agent), `batch` the same over 32
    records; `phases` of the tab's longest round."""

    browser: str = ""
    rounds: dict[int, tuple[float, float]] = field(default_factory=dict)
    gradients: dict[int, tuple[float, float]] = field(default_factory=dict)
    batch: tuple[float, float] = (0.0, 0.0)
    phases: dict[str, float] = field(default_factory=dict)
    members: int = MEMBERS
    files: int = 0
    page_bytes: int = 0
    page_gzip_bytes: int = 0

    def values(self) -> dict[str, float | None]:
        """The keys of the JSON; None where a quick run does not measure."""
        small, large = self.rounds.get(10_000), self.rounds.get(100_000)
        gradient = next((pair for count, pair in self.gradients.items() if 5_000 < count < 20_000), None)
        found = (
            small and small[0],
            large and large[0],
            large and large[0] / large[1],
            gradient and gradient[0],
            gradient and gradient[0] / gradient[1],
            self.batch[0],
            self.page_bytes,
            self.page_gzip_bytes,
        )
        return {key: round(value, 3) if value else None for key, value in zip(KEYS, found, strict=True)}


class Clock:
    """Milliseconds by step, of one client."""

    def __init__(self) -> None:
        self.steps: dict[str, float] = {}

    def note(self, step: str, milliseconds: float) -> None:
        self.steps[step] = self.steps.get(step, 0.0) + milliseconds

    @property
    def all(self) -> float:
        return sum(self.steps.values())


class TabClient:
    """The tab's client behind the interface of the Python client."""

    def __init__(self, ask: Callable[..., Any], head: Any, key: Any, clock: Clock) -> None:
        self._ask, self._head, self._clock, self.closed = ask, head, clock, False
        self._step("create", header=_text(head.to_bytes()), seed=_text(key.reveal()))

    def advertise(self) -> bytes:
        return self._step("advertise")

    def receive_list(self, data: bytes, *, now: int) -> bytes:
        return self._step("receive_list", message=_text(data), now=now)

    def receive_shares(self, data: bytes) -> None:
        self._step("receive_shares", message=_text(data))

    def mask(self, update: Any) -> bytes:
        assert not np.any(update), "zeros, so that they need no way into the tab"
        return self._step("mask", words=len(update))

    def receive_survivors(self, data: bytes) -> bytes:
        return self._step("receive_survivors", message=_text(data))

    def receive_consistency(self, data: bytes) -> bytes:
        return self._step("receive_consistency", message=_text(data))

    def _step(self, step: str, **given: Any) -> bytes:
        said = self._ask("step", step=step, **given)
        self._clock.note(step, said["milliseconds"])
        return base64.b64decode(said["message"])


class Timed(SecAggClient):
    """The agent's client, with a clock around every step."""

    clock: Clock


def _timed(step: str) -> Callable[..., Any]:
    def run(self: Timed, *args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        made = getattr(SecAggClient, step)(self, *args, **kwargs)
        self.clock.note(step, (time.perf_counter() - began) * 1000)
        return made

    return run


for _name in (
    "advertise",
    "receive_list",
    "receive_shares",
    "mask",
    "receive_survivors",
    "receive_consistency",
):
    setattr(Timed, _name, _timed(_name))


class Unmasked(SecAggClient):
    """A neighbour whose own masks nobody needs: they would cost a hundred times what is measured. Its round sums to nothing."""

    def _masks(self) -> Iterator[tuple[bytes, int]]:
        return iter(())


def one_round(ask: Callable[..., Any], d: int, members: int, seed: int) -> tuple[Clock, Clock]:
    """A round of one tab and Python clients; the clocks of the tab and of the agent measured beside it."""
    head = header(log=member_log(members), d=d, bucket_size=members, q=16, f=10)
    zeros = np.zeros((members, head.padded_d), np.int64)
    wire = Wire(head, members, seed=seed, updates=zeros)
    began = time.perf_counter()
    agent = Timed(head, job_key(1), rng=os.urandom, note_revealed=Notes())
    agent.clock, tab = Clock(), Clock()
    agent.clock.note("create", (time.perf_counter() - began) * 1000)
    wire.clients[0] = TabClient(ask, head, job_key(0), tab)  # type: ignore[call-overload]
    wire.clients[1] = agent
    if d > EXACT_TO:
        others = range(2, members)
        wire.clients[2:] = [Unmasked(head, job_key(i), rng=os.urandom, note_revealed=Notes()) for i in others]
        wire.until("unmask")
        assert set(wire.sent["unmask"]) == set(range(members))
        return tab, agent.clock
    result = wire.run()
    assert not result.failed
    (bucket,) = result.sums.values()
    assert bucket.count == members
    assert not np.any(bucket.sum)
    return tab, agent.clock


def measure_rounds(ask: Callable[..., Any], plan: Plan, figures: Figures) -> None:
    one_round(ask, 1_000, plan.members, 0)  # both engines warm
    for d in plan.vectors:
        pairs = [one_round(ask, d, plan.members, seed) for seed in range(plan.rounds)]
        figures.rounds[d] = (min(tab.all for tab, _ in pairs), min(agent.all for _, agent in pairs))
        figures.phases = {step: min(tab.steps[step] for tab, _ in pairs) for step in pairs[0][0].steps}


def manifest(width_in: int, hidden: int, width_out: int) -> dict[str, Any]:
    return {
        "version": 1,
        "name": "benchmark",
        "purpose": "measure a tab",
        "inputs": ["a"],
        "target": ["b"],
        "width_in": width_in,
        "width_out": width_out,
        "layers": [
            {"op": "linear", "out": hidden, "bias": True},
            {"op": "relu"},
            {"op": "linear", "out": width_out, "bias": True},
        ],
        "loss": "mse",
        "training": {"learning_rate_micro": 1000, "steps": 1},
        "output": {"kind": "gradient", "clip_micro": 1_000_000},
    }


def measure_gradients(ask: Callable[..., Any], plan: Plan, figures: Figures) -> None:
    for hidden in plan.widths:
        count, best = one_gradient(ask, plan, (64, hidden, 5, 1))
        figures.gradients[count] = best
    _, figures.batch = one_gradient(ask, plan, plan.batch)


def one_gradient(
    ask: Callable[..., Any], plan: Plan, size: tuple[int, int, int, int]
) -> tuple[int, tuple[float, float]]:
    """How many parameters, and the best times of both over the same numbers."""
    width_in, hidden, width_out, records = size
    document = manifest(width_in, hidden, width_out)
    parsed = parse_manifest(document)
    count = parameter_count(parsed)
    weights, x, y = _spread(count, 0.1), _spread(width_in * records, 1.0), _spread(width_out * records, 1.0)
    given = {
        "manifest": document,
        "weights": _text(weights.tobytes()),
        "x": _text(x.tobytes()),
        "y": _text(y.tobytes()),
    }
    tab: list[float] = []
    agent: list[float] = []
    for _ in range(plan.gradients):
        said = ask("train", **given, least=LEAST_MS)
        tab.append(said["milliseconds"])
        inputs = x.reshape(records, width_in), y.reshape(records, width_out)
        expected, milliseconds = _repeated(partial(compute_update, parsed, weights, *inputs, bytes(32)))
        agent.append(milliseconds)
    found = np.frombuffer(base64.b64decode(said["update"]), "<f4")
    assert np.max(np.abs(found - expected)) <= TOLERANCE * max(1.0, float(np.max(np.abs(expected))))
    return count, (min(tab), min(agent))


def _repeated(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and its milliseconds: the mean of as many as fill `LEAST_MS`, as the tab does it."""
    made, count = work(), 1
    while True:
        began = time.perf_counter()
        for _ in range(count):
            made = work()
        took = (time.perf_counter() - began) * 1000
        if took >= LEAST_MS:
            return made, took / count
        count *= 2


def _spread(count: int, scale: float) -> Any:
    """Values without a pattern a processor could profit from, float32 [count]."""
    return (scale * np.sin(np.arange(count) * 12.9898)).astype("<f4")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def weigh(figures: Figures) -> None:
    import django

    django.setup()
    from marketplace import browser_wallet

    bodies = [path.read_bytes() for path in browser_wallet.files().values()]
    figures.files, figures.page_bytes = len(bodies), sum(map(len, bodies))
    figures.page_gzip_bytes = sum(len(gzip.compress(body, 6)) for body in bodies)


@contextmanager
def asking(folder: Path) -> Iterator[tuple[Callable[..., Any], str]]:
    """A worker in a page of a browser that answers, and the browser's version."""
    path = installed()
    if path is None:
        raise SystemExit("This benchmark needs a Chromium: install the package chromium.")
    browser = Chromium(path, profile=folder / "profile", log=folder / "log")
    try:
        with serving() as url:
            window = Window(browser, downloads=folder)
            window.go(url)
            while not window.evaluate("() => document.documentElement?.dataset.ready === 'yes'"):
                time.sleep(0.1)
            window.evaluate("(name) => window.start(name)", "/e2e/bench.js")
            yield (
                (
                    lambda what, **given: window.evaluate(
                        "(what, given) => window.ask(what, given)", what, given
                    )
                ),
                browser.version,
            )
    finally:
        browser.stop()


def measure(plan: Plan) -> Figures:
    figures = Figures(members=plan.members)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings.test")
    weigh(figures)
    with tempfile.TemporaryDirectory() as name, asking(Path(name)) as (ask, figures.browser):
        measure_gradients(ask, plan, figures)
        measure_rounds(ask, plan, figures)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, once; writes no page by itself")
    parser.add_argument("--docs", type=Path, help="folder for page, picture and JSON")
    parser.add_argument("--out", type=Path, help="also keep the figures here as JSON")
    options = parser.parse_args()
    figures = measure(QUICK if options.quick else Plan())
    print(report.table(figures))
    docs = options.docs or (None if options.quick else ROOT / "docs" / "benchmarks")
    if docs:
        report.write(
            figures, docs, command="make bench-wallet-tab" + (" ARGS=--quick" if options.quick else "")
        )
    line = json.dumps(figures.values())
    if options.out:
        options.out.write_text(line + "\n", encoding="utf-8")
    print(line)


if __name__ == "__main__":
    main()
