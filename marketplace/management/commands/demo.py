from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from marketplace.demo import rehearsal, report
from marketplace.demo.datasets import Dataset, DatasetError, breast_cancer, folder
from marketplace.demo.job_performance import job_performance
from marketplace.demo.plan import PlanError, default_plan
from marketplace.demo.story import Options, Story
from marketplace.demo.tabs import MOST, BrowserTabError, browser_path
from marketplace.garbage import look_seldom
from marketplace.supervisor.supervisor import AlreadyRunningError

MOST_BY_DEFAULT = 2_000


class Command(BaseCommand):
    help = "The main job, end to end, on this machine: wallets teach a model, everybody is paid, and a report says what held."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--wallets",
            type=int,
            help=f"how many people take part (default: all training records, of a folder at most {MOST_BY_DEFAULT:,})",
        )
        parser.add_argument("--rounds", type=int, help="how many rounds (default 20)")
        parser.add_argument(
            "--data", type=Path, metavar="DIR", help="a folder with data.csv.gz and schema.json"
        )
        parser.add_argument("--case", choices=["breast-cancer", "job-performance"], default="breast-cancer")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument(
            "--development-cohort",
            type=int,
            metavar="N",
            help="a cohort below the safe minimum; the report says so",
        )
        parser.add_argument("--no-faults", action="store_true", help="break nothing on purpose")
        parser.add_argument(
            "--kill-servers",
            action="store_true",
            help="kill -9 the worker and the web server while rounds run",
        )
        parser.add_argument(
            "--plant-leak", action="store_true", help="leak something on purpose; the run must then fail"
        )
        parser.add_argument(
            "--browser-wallets",
            type=int,
            default=0,
            metavar="N",
            help=f"so many of the wallets are tabs of a real Chromium, beside the agents (at most {MOST})",
        )
        parser.add_argument(
            "--profile",
            choices=["embedded", "production"],
            default="embedded",
            help="production: PostgreSQL, Redis and every role in processes of its own (their programs must be installed)",
        )
        parser.add_argument(
            "--report", type=Path, default=settings.BASE_DIR / "report", help="folder for the HTML report"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(stderr=False)
        if options["profile"] == "production" and not rehearsal.on_stage():
            self._rehearse(console)
            return
        try:
            data = self._data(options, console)
            plan = default_plan(
                len(data.train), rounds=options["rounds"], development_cohort=options["development_cohort"]
            )
            _check_tabs(options["browser_wallets"], len(data.train))
        except (DatasetError, PlanError, BrowserTabError) as error:
            raise CommandError(str(error)) from error
        started = time.monotonic()
        console.rule(
            f"[bold]{len(data.train)} wallets, cohorts of {plan.cohort}, {plan.rounds} rounds: {data.title}"
        )
        story = Story(
            data,
            plan,
            Options(
                seed=options["seed"],
                faults=not options["no_faults"],
                plant_leak=options["plant_leak"],
                kill_servers=options["kill_servers"],
                browser_wallets=options["browser_wallets"],
            ),
            console,
        )
        look_seldom()  # here and not above: a test of the refusals keeps its own collector
        try:
            result = story.tell()
        except (AlreadyRunningError, TimeoutError, RuntimeError) as error:
            raise CommandError(str(error)) from error
        result.seconds["all"] = time.monotonic() - started
        report.print_report(result, console)
        path = options["report"] / "index.html"
        report.write_html(result, path)
        console.print(f"\nThe report with pictures: {path}")
        if not result.ok:
            raise CommandError("The run did not hold; see the report.")

    def _rehearse(self, console: Console) -> None:
        try:
            code = rehearsal.rerun(sys.argv, lambda line: console.print(f"[dim]  {line}", highlight=False))
        except RuntimeError as error:
            raise CommandError(str(error)) from error
        if code:
            raise CommandError("The run on the production profile did not hold; see above.", returncode=code)

    def _data(self, options: dict[str, Any], console: Console) -> Dataset:
        if options["data"]:
            return _of_folder(options["data"], options["wallets"], console)
        if options["case"] == "job-performance":
            people = options["wallets"] or 400
            return job_performance(people=people + people // 4, seed=options["seed"]).limited(people)
        return breast_cancer().limited(options["wallets"])


def _check_tabs(number: int, wallets: int) -> None:
    """Raises:
    BrowserTabError: no such number of tabs is possible here; says what is.
    """
    most = min(MOST, wallets // 2)
    if not 0 <= number <= most:
        raise BrowserTabError(
            f"--browser-wallets must be between 0 and {most} here; half of the wallets stay agents."
        )
    if number:
        browser_path()


def _of_folder(path: Path, wallets: int | None, console: Console) -> Dataset:
    """The folder's people; without a number at most as many as teach a model within a quarter of an hour, and it is said."""
    data = folder(path)
    if wallets is None and len(data.train) > MOST_BY_DEFAULT:
        wallets = MOST_BY_DEFAULT
        console.print(
            f"{wallets:,} of {len(data.train):,} training records get a wallet; with --wallets {len(data.train)} all do, and it takes longer."
        )
    return data.limited(wallets)
