"""`python -m tests.chaos`: everything that is broken on purpose, a line per fault, a page, and one line of JSON at the end."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.chaos import report
from tests.chaos.site import Site

if TYPE_CHECKING:
    from tests.chaos.cases import Case


def main() -> int:
    options = _options()
    began = time.monotonic()

    def say(line: str) -> None:
        print(f"[{time.monotonic() - began:6.0f} s] {line}", file=sys.stderr, flush=True)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    site = Site(say)
    stack = None
    try:
        site.prepare()
        site.start()
        from tests.chaos.bench import Bench, ChaosStack

        stack = ChaosStack(site, options.slow)
        stack.populate()
        bench = Bench(site, stack, say)
        bench.outcomes = report.load(options.results) if options.results else []
        done = {outcome.name for outcome in bench.outcomes}
        for case in cases():
            if case.name in done or (options.only and not any(word in case.name for word in options.only)):
                continue
            if options.minutes and time.monotonic() - began > 60 * options.minutes:
                break
            bench.run(case.name, case.sentence, case.act, rounds=case.rounds, patience=case.patience)
            if options.results:
                report.save(bench.outcomes, options.results)
        names = [case.name for case in cases()]
        # The page speaks of the whole suite, so a piece does not overwrite it.
        if options.page or set(names) <= {outcome.name for outcome in bench.outcomes}:
            report.write(bench.outcomes, names, options.page or report.PAGE)
        print(json.dumps(report.line_of(bench.outcomes)), flush=True)
        return int(any(outcome.verdict.violations for outcome in bench.outcomes))
    finally:
        if stack is not None:
            stack.down()
        if options.keep:
            say(f"kept in {site.folder}")
        site.end(keep=options.keep)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], help="cases whose name holds one of these words")
    parser.add_argument(
        "--page", type=Path, help="write the report there (default: docs/chaos.md, for a whole run)"
    )
    parser.add_argument(
        "--results", type=Path, help="keep each case's outcome there, and leave out what is there already"
    )
    parser.add_argument("--minutes", type=float, default=0, help="begin no further case after so long")
    parser.add_argument(
        "--slow",
        type=float,
        default=1.0,
        help="give everything at least so many times the time of a machine that does nothing else (it is measured once, at the start)",
    )
    parser.add_argument("--keep", action="store_true", help="leave the site's folder with its logs")
    return parser.parse_args()


def cases() -> list[Case]:
    """All of them, in order."""
    from tests.chaos import cases as c
    from tests.chaos import settling as s

    parts = ("aggregator", "aggregator-worker", "distributor", "distributor-worker", "web", "web-worker")
    found = [
        c.Case(
            name=f"{part} killed",
            sentence=f"`kill -9` of {part} while wallets are invited and in every phase of a round.",
            act=c.kill_in_every_phase(part),
            rounds=6,
        )
        for part in parts
    ]
    more = (
        ("timetables killed", c.timetables, 5, 0.0),
        ("power cut", c.everything_at_once, 2, 240.0),
        ("wallets' machine killed", c.wallets_machine, 5, 120.0),
        ("30 % vanish", c.vanishing, 7, 0.0),
        ("bad agents", c.bad_agents, 4, 120.0),
        ("slow loris", c.slow_loris, 2, 0.0),
        ("deliveries", c.deliveries, 3, 60.0),
        ("broker", c.broker, 2, 60.0),
        ("database", c.database, 3, 120.0),
        ("full disk", c.full_disk, 2, 180.0),
        ("clock", c.clock, 6, 240.0),
        ("settlement's workers killed", s.workers, 1, 0.0),
        ("all others killed in a settlement", s.others, 1, 240.0),
        ("statement", s.statement, 1, 0.0),
        ("chain down", s.chain_down, 1, 60.0),
        ("reorganisation", s.reorganised, 1, 60.0),
    )
    return found + [
        c.Case(name=name, sentence=str(act.__doc__), act=act, rounds=rounds, patience=patience)
        for name, act, rounds, patience in more
    ]


if __name__ == "__main__":
    sys.exit(main())
