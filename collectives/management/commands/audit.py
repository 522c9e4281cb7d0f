"""`manage.py audit`: attack an algorithm, and say what came of it; `--self-check`: does the audit find what it should?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from collectives.audit.run import PARTS, Report, audit
from collectives.audit.subject import Subject, subject
from collectives.terms.canonical import parse_json
from collectives.terms.errors import TermsError


class Command(BaseCommand):
    help = "Attack an algorithm before it is admitted, with a score, plots and a report pinned to the manifest's hash."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--manifest", type=Path, metavar="FILE", help="a manifest as JSON")
        what.add_argument(
            "--algorithm", metavar="HASH", help="one that was submitted, by its manifest's hash"
        )
        what.add_argument("--catalogue", metavar="NAME", help="a ready-made one")
        what.add_argument("--bad", metavar="NAME", help="one of the seeded bad ones")
        what.add_argument(
            "--self-check",
            nargs="*",
            metavar="NAME",
            help="all seeded bad ones must be rejected and the catalogue admitted; or only those named",
        )
        parser.add_argument(
            "--requirement", type=Path, metavar="FILE", help="the data requirement its records come from"
        )
        parser.add_argument(
            "--formal", action="store_true", help="under formal terms instead of the noise floor"
        )
        parser.add_argument(
            "--only", action="append", default=[], choices=list(PARTS), help="one part; may be repeated"
        )
        parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
        parser.add_argument("--plots", type=Path, metavar="DIR", help="draw every plot there, as SVG")
        parser.add_argument(
            "--keep", action="store_true", help="keep the report with the submitted algorithm"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 160)
        if options["self_check"] is not None:
            self._self_check(console, options)
            return
        try:
            chosen, command = _chosen(options)
        except (TermsError, OSError, KeyError) as error:
            raise CommandError(str(error)) from error
        if options["formal"]:
            chosen, command = chosen.under(chosen.conditions.formal(chosen.manifest)), f"{command} --formal"
        report = _with_bar(chosen, options["only"], command)
        print_report(console, report)
        if options["json"]:
            text = json.dumps(report.to_json(), indent=1, ensure_ascii=False)
            options["json"].write_text(f"{text}\n", "utf-8")
        if options["plots"]:
            _draw(report, options["plots"])
        if options["keep"]:
            _keep(report)
        if not report.admitted:
            raise CommandError("The audit rejects this algorithm; the reasons stand above.")

    def _self_check(self, console: Console, options: dict[str, Any]) -> None:
        from collectives.audit.selfcheck import lines

        failed, count = [], 0
        for line in lines(options["self_check"], lambda name: console.print(f"[dim]{name} …")):
            count += 1
            console.print(
                f"{'ok ' if line.good else 'NOT'} {line.name}: {line.came}", highlight=False, markup=False
            )
            console.print(f"    wanted: {line.wanted}   again: {line.command}", highlight=False, markup=False)
            if not line.good:
                failed.append(line.name)
            if options["plots"] and line.report:
                _draw(line.report, options["plots"] / line.name)
        if not count:
            raise CommandError("No subject has this name.")
        if failed:
            raise CommandError(f"{len(failed)} of {count} came out otherwise: {', '.join(failed)}")
        console.print(f"All {count} came out as they should.")


def print_report(console: Console, report: Report) -> None:
    """The report for people; the last line is the verdict."""
    made = report.subject.conditions
    console.print(f"{report.subject.manifest.name}, manifest {report.subject.manifest.hash}", highlight=False)
    console.print(
        f"{report.subject.length:,} values in an answer; sums of {made.bucket_min} for the operator and {made.release_min:,} for a "
        f"consumer; clip {made.clip:g}, σ {made.sigma(made.bucket_min):.3g} on the smallest sum",
        highlight=False,
    )
    table = Table("part", "figure", "value", "limit", "score", "CPU s", show_lines=False)
    for part in report.parts:
        for number, figure in enumerate(part.figures):
            limit = "" if figure.limit is None else f"{figure.limit:.3g}"
            mark = "" if figure.holds else "  ✗"
            first = (part.title, str(part.score), f"{part.seconds:.1f}") if number == 0 else ("", "", "")
            table.add_row(first[0], figure.name, f"{figure.value:.3g}{mark}", limit, *first[1:])
    console.print(table)
    for sentence in report.why():
        console.print(f"✗ {sentence}", highlight=False, markup=False)
    console.print(f"Again: {report.command}  (one part: --only NAME)", highlight=False, markup=False)
    console.print(f"{'ADMITTED' if report.admitted else 'REJECTED'}, score {report.score} of 100")


def _chosen(options: dict[str, Any]) -> tuple[Subject, str]:
    """What is audited, and the command that does it again."""
    if options["catalogue"]:
        from collectives.audit.ready import ready

        return ready(options["catalogue"]), f"manage.py audit --catalogue {options['catalogue']}"
    if options["bad"]:
        from collectives.audit.bad import bad

        return bad(options["bad"]).subject(), f"manage.py audit --bad {options['bad']}"
    requirement = parse_json(options["requirement"].read_bytes()) if options["requirement"] else None
    words = f" --requirement {options['requirement']}" if options["requirement"] else ""
    if options["manifest"]:
        document = parse_json(options["manifest"].read_bytes())
        return subject(document, requirement), f"manage.py audit --manifest {options['manifest']}{words}"
    from collectives.services.audits import requirement_of

    algorithm = _algorithm(options["algorithm"])
    made = subject(algorithm.manifest, requirement or requirement_of(algorithm))
    return made, f"manage.py audit --algorithm {options['algorithm']}{words}"


def _algorithm(ident: str) -> Any:
    from collectives.models import Algorithm

    found = Algorithm.objects.filter(manifest_hash=ident).first()
    if found is None:
        raise CommandError("No algorithm with this hash was submitted.")
    return found


def _with_bar(chosen: Subject, only: list[str], command: str) -> Report:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} parts"),
    )
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        task = bar.add_task("audit", total=len(only) or len(PARTS))

        def progress(name: str, done: int, of: int) -> None:
            bar.update(task, completed=done, total=of, description=name or "done")

        return audit(chosen, only=only, command=command, progress=progress)


def _draw(report: Report, folder: Path) -> None:
    from collectives.audit.plots import draw

    draw(report, folder)


def _keep(report: Report) -> None:
    from collectives.errors import CollectiveError
    from collectives.services import audits

    try:
        audits.keep(_algorithm(report.subject.manifest.hash), report.to_json())
    except CollectiveError as error:
        raise CommandError(str(error)) from error
