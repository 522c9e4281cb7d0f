from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from marketplace.demo.hosts import HostError
from marketplace.demo.plan import PlanError
from marketplace.demo.seed_example import report
from marketplace.demo.seed_example.notebook import Notebook
from marketplace.demo.seed_example.result import Result, conclude
from marketplace.demo.seed_example.run import Run, StuckError
from marketplace.demo.seed_example.size import VISITS, WALLETS, Size
from marketplace.demo.seed_example.stage import KeptStage
from marketplace.supervisor.supervisor import AlreadyRunningError


class Command(BaseCommand):
    help = (
        "The founding document's example: 100,000 wallets, 2,000,000 visits at 0.005, a budget of 10,000. Stop it with Ctrl-C at any time; "
        "the same command goes on."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--wallets", type=int, default=WALLETS, help="default %(default)s")
        parser.add_argument("--visits", type=int, default=VISITS, help="default %(default)s")
        parser.add_argument("--scale", type=float, default=1.0, help="a factor on both")
        parser.add_argument("--cohort", type=int, help="wallets per round (default: up to 2,000)")
        parser.add_argument("--seed", type=int, default=1, help="which generated people")
        parser.add_argument(
            "--development",
            action="store_true",
            help="few wallets, minima below what is safe; the report says so",
        )
        parser.add_argument(
            "--apart",
            action="store_true",
            help="every wallet with a connection and a sandboxed worker of its own, as on a machine of its own (slower)",
        )
        parser.add_argument("--fresh", action="store_true", help="forget a run that was begun in this folder")
        parser.add_argument(
            "--report", type=Path, default=settings.BASE_DIR / "report", help="folder for the report"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console()
        stage = KeptStage(lambda line: console.print(f"[dim]  {line}", highlight=False))
        try:
            size = Size.of(
                options["wallets"],
                options["visits"],
                options["scale"],
                cohort=options["cohort"],
                development=options["development"],
            )
            result = self._run(stage, size, options, console)
        except (AlreadyRunningError, HostError, PlanError, RuntimeError, StuckError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            console.print("\nStopped. The same command goes on from here.")
            raise CommandError("The run is not finished.", returncode=130) from None
        finally:
            stage.stop()
        report.print_report(result, console)
        console.print(f"\nThe report: {report.write(result, options['report'])}")
        if not result.ok:
            raise CommandError("The run did not hold; see the report.")

    def _run(self, stage: KeptStage, size: Size, options: dict[str, Any], console: Console) -> Result:
        stage.begin(fresh=options["fresh"])
        book = Notebook.open(stage.folder, size, options["seed"])
        book.starts += 1
        console.rule(
            f"[bold]{size.wallets:,} wallets, {size.visits:,} visits in cohorts of {size.cohort:,}, generated people"
        )
        stage.start(development=size.development, packed=not options["apart"])
        with _Bars(console) as bars:
            run = Run(stage, book, bars)
            run.wallets()
            run.rounds()
            order = run.settle()
        return conclude(book, order, stage.hosts)


class _Bars:
    """A bar for everything that is counted; in a log file a line now and then."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("  {task.description:<15}"),
            BarColumn(30),
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        )
        self._console = console
        self._progress = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console)
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, int] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, what: str, done: int, of: int) -> None:
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=of)
        self._progress.update(self._tasks[what], completed=done, total=of)
        step = max(1, of // 100)
        if not self._console.is_terminal and done // step != self._said.get(what, -1):
            self._said[what] = done // step
            self._console.print(f"  {what}: {done:,} of {of:,}", highlight=False)
