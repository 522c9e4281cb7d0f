"""The main job, told in order: cast, wallets, subscriptions, notice, escrow, rounds with things breaking, payouts, evidence."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from django.conf import settings
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from collectives.models import Collective, Job, Round
from collectives.models.jobs import ENDED
from collectives.services.plan import JobPlan
from marketplace.demo import breakage, cast, checks, evidence
from marketplace.demo.consumer import ApiSession, Judge
from marketplace.demo.datasets import Dataset
from marketplace.demo.hosts import Hosts
from marketplace.demo.plan import Plan
from marketplace.demo.postgres_places import is_of_the_server
from marketplace.demo.result import DemoResult, MoneyFacts, RoundFacts
from marketplace.demo.scan import scan
from marketplace.demo.stage import Stage, wait_until
from marketplace.demo.tabs import TabHost
from marketplace.individuals.services import links
from marketplace.jobs import services as orders
from marketplace.jobs.models import Order
from marketplace.settlement import selectors as money
from marketplace.settlement import services as settlement

PHASE_SECONDS = {"advertise": 60, "share_keys": 20, "masked_input": 20, "consistency": 20, "unmask": 20}
ROUND_SECONDS = 150
ACCEPT_SECONDS = 30
"""A round goes on as soon as enough have accepted; the first comes while thousands of wallets on two processors check their places in the log."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line asked for."""

    seed: int
    faults: bool = True
    plant_leak: bool = False
    kill_servers: bool = False
    browser_wallets: int = 0


class Story:
    """One run. `tell` fills and returns the result; the stage is always taken down."""

    def __init__(self, data: Dataset, plan: Plan, options: Options, console: Console) -> None:
        self.data, self.plan, self.options, self.console = data, plan, options, console
        self.result = DemoResult(
            title=f"{len(data.train)} wallets teach a model: {data.title}",
            generated_data=data.generated,
            wallets=len(data.train),
            test_people=len(data.test),
            cohort=plan.cohort,
            rounds_planned=plan.rounds,
            seed=options.seed,
            notes=_notes(plan),
        )
        self._tabs: TabHost | None = None

    def tell(self) -> DemoResult:
        stage = Stage(lambda line: self.console.print(f"[dim]  {line}", highlight=False))
        try:
            with self._timed("start"):
                stage.start(development=self.plan.development)
            evidence_parts = self._act(stage)
        finally:
            stage.stop()
        with self._timed("search"):
            self._search(stage, *evidence_parts)
        checks.conclude(self.result, self.data, self.plan, self.options)
        return self.result

    def _act(self, stage: Stage) -> tuple[list[evidence.WalletFacts], Any, evidence.SpyBook]:
        judge = Judge(self.data)
        self.result.central = judge.central()
        people, hosts = self._prepare_wallets(stage)
        collective, algorithm = cast.found_collective(people, self.data, self.plan)
        if self._tabs is not None:
            self._tabs.import_data(str(collective.pk))
        with self._bar("pairing wallets", len(people.individuals)) as step:
            cast.pair(people.individuals, hosts, collective, step)
        with self._bar("subscribing", len(people.individuals)) as step:
            cast.wait_for_subscriptions(people, step)
        admission = cast.announce(people, collective, algorithm)
        with self._timed("notice"):
            self.console.print(
                f"  the algorithm is announced; its notice period is {settings.NOTICE_MIN_SECONDS} s here"
            )
            cast.wait_for_notice(admission)
        order = self._order(people, collective, algorithm.manifest_hash)
        faults = breakage.plan(self.plan.rounds, gentle=self.plan.development) if self.options.faults else []
        breakage.arm(hosts, faults)
        self._watch(order, people, hosts, collective, judge, self._killer(stage))
        self.result.faults = breakage.outcome(hosts, faults)
        with self._timed("payouts"):
            self._settle(order)
        addresses = evidence.payout_addresses()
        facts = evidence.wallet_facts([a.email for a in people.individuals], self._canaries, addresses)
        spies = evidence.SpyBook(hosts, stage.folder)
        job = Job.objects.get(pk=order.job_id)
        checks.sums_are_exact(self.result, spies, job)
        checks.everybody_is_paid(self.result, facts, hosts, int(order.rate))
        if self._tabs is not None:
            self.result.tabs = evidence.tab_facts(hosts, self._tabs.version, self._tabs.picture())
        return facts, judge.encoded(self.data.train), spies

    def _prepare_wallets(self, stage: Stage) -> tuple[cast.Cast, Hosts]:
        self._canaries = [evidence.canary(n, self.options.seed) for n in range(len(self.data.train))]
        records = [
            {**record, "private_note": note}
            for record, note in zip(self.data.train, self._canaries, strict=True)
        ]
        hosts = stage.ready_hosts()
        first = self.options.browser_wallets
        with self._bar("creating wallets", None):
            hosts.create(records, stage.folder, first=first)
        if first:
            with self._bar("opening tabs", first):
                self._tabs = stage.open_tabs(first)
                # A tab takes from a file what a collective asks for, and refuses a file with more.
                asked = self.data.requirement["properties"]
                wanted = [
                    {name: one[name] for name in asked if name in one} for one in self.data.train[:first]
                ]
                hosts.create_in(self._tabs, self._tabs.create(wanted))
        people = cast.create(len(records))
        settlement.faucet(people.consumer, 1_000 * 10**18)
        return people, hosts

    def _order(self, people: cast.Cast, collective: Collective, manifest_hash: str) -> Order:
        """Order with a plan of one's own, then fund over the API like anybody else."""
        plan = JobPlan(
            cohort=self.plan.cohort,
            learning_rate_micro=self.plan.learning_rate_micro,
            optimiser=self.plan.optimiser,
            decay_after_ppm=self.plan.decay_after_ppm,
            value_bits=self.plan.value_bits,
            fraction_bits=self.plan.fraction_bits,
            bucket_size=self.plan.bucket_size,
            rule="sum",  # every released sum is compared with that of all wallets, bit for bit
            enrol_seconds=60,
            accept_seconds=ACCEPT_SECONDS,
            phase_seconds=PHASE_SECONDS,
        )
        # Enough for every round at its worst, two spare rounds, and a remainder that no visit fits.
        budget = (self.plan.rounds + 2) * plan.invited() * cast.RATE + 1_234_567
        order = orders.order(
            consumer=people.consumer,
            collective_id=collective.pk,
            manifest_hash=manifest_hash,
            budget=budget,
            max_rounds=self.plan.rounds,
            plan=plan,
        )
        self._api = ApiSession(people.consumer.email, people.consumer_password)
        wait_until(
            lambda: (money.funds(people.consumer)["balance"] or 0) >= budget, seconds=60, what="the faucet"
        )
        self._api.post(f"jobs/{order.job_id}/fund", {})
        return order

    def _killer(self, stage: Stage) -> breakage.ServerKiller | None:
        return breakage.ServerKiller(stage.supervisor) if self.options.kill_servers else None

    def _watch(
        self,
        order: Order,
        people: cast.Cast,
        hosts: Hosts,
        collective: Collective,
        judge: Judge,
        killer: breakage.ServerKiller | None,
    ) -> None:
        """Follow the rounds; download and judge each checkpoint; revoke two wallets halfway."""
        half, revoked, judged = max(1, self.plan.rounds // 2), False, 0
        limit = time.monotonic() + 120 + ROUND_SECONDS * self.plan.rounds
        with self._bar("rounds", self.plan.rounds) as step:
            while True:
                job = Job.objects.get(pk=order.job_id)
                judged = self._judge_closed(order, job, judge, judged)
                step(sum(r.state == "posted" for r in self.result.rounds))
                if killer is not None:
                    self.result.faults_of_servers = killer.look(job)
                if judged >= half and not revoked and self.options.faults:
                    self._revoke_two(people, hosts, collective)
                    revoked = True
                if job.status in ENDED:
                    self.result.ending = f"{job.get_status_display()}: {job.reason}"
                    return
                if time.monotonic() > limit:
                    raise TimeoutError(
                        f"The job did not end in time; it is {job.status}. The logs are in {settings.LOG_DIR}."
                    )
                time.sleep(0.3)

    def _judge_closed(self, order: Order, job: Job, judge: Judge, judged: int) -> int:
        """Take up rounds closed since; the number of the last one taken up."""
        closed = Round.objects.filter(job=job, status__in=("posted", "abandoned"), number__gt=judged)
        for round_ in closed:
            try:
                self.result.rounds.append(self._round_facts(order, round_, judge))
            except httpx.TransportError:
                return judged  # the web server is being restarted; the checkpoint is still there afterwards
            judged = round_.number
        return judged

    def _round_facts(self, order: Order, round_: Round, judge: Judge) -> RoundFacts:
        facts = RoundFacts(
            number=round_.number,
            state=round_.status,
            invited=round_.invited,
            accepted=round_.accepted,
            delivered=round_.delivered,
            joined=round_.joined,
            survivors=round_.survivors,
            receipts=round_.receipts,
            buckets=round_.buckets,
            reason=round_.reason,
        )
        if round_.status == "posted":
            facts.metrics = judge.measure(self._api.download(order.job_id, round_.number))
            for name, value in (("accuracy", facts.metrics.accuracy), ("AUC", facts.metrics.auc)):
                body = {"checkpoint": round_.number, "name": name, "value": value}
                self._api.post(f"jobs/{order.job_id}/metrics", body)
        return facts

    def _revoke_two(self, people: cast.Cast, hosts: Hosts, collective: Collective) -> None:
        """One wallet deletes its permit; one person clicks Revoke on the web. Both must refuse from then on."""
        ident = str(collective.pk)
        last = len(people.individuals) - 1
        answer = hosts.call(last, "revoke", collective=ident)
        gone = hosts.call(last, "permits")["permits"] == []
        before = _visits_of(hosts, last)
        self.result.revocation.append(
            f"A wallet deleted its permit mid-job in {answer['milliseconds']:.0f} ms; from then on it refused."
        )
        link = cast.link_of(people.individuals[last - 1], collective.pk)
        links.revoke(account=people.individuals[last - 1], link=link)
        wait_until(
            lambda: hosts.call(last - 1, "permits")["permits"] == [],
            seconds=30,
            what="the web revocation to reach a wallet",
        )
        self.result.revocation.append(
            "A person revoked on the web; the wallet deleted its permit at its next contact."
        )
        self._revoked = {last: before, last - 1: _visits_of(hosts, last - 1)}
        self.result.revoked_at_once = gone
        self._hosts = hosts

    def _settle(self, order: Order) -> None:
        """Wait until every visit is paid and the rest refunded, then compare ledger and chain."""
        wait_until(
            lambda: Order.objects.get(pk=order.pk).closed and not money.in_flight(),
            seconds=180,
            what="the payouts and the refund",
        )
        state = money.escrow_state(order.job_id)
        assert state is not None
        report = settlement.reconcile()
        totals = money.money_totals()
        job = Job.objects.get(pk=order.job_id)
        self.result.money = MoneyFacts(
            rate=int(order.rate),
            budget=state.budget,
            spent=state.spent,
            refunded=state.refunded,
            visits_ledger=job.visits_earned,
            visits_paid=totals.paid // int(order.rate),
            paid=totals.paid,
            carried=totals.carried,
            held_over=totals.held_over,
            reconciled=report.ok,
            reconciliation=list(report.lines),
        )
        if hasattr(self, "_revoked"):
            self.result.revoked_visited_again = any(
                _visits_of(self._hosts, number) > before for number, before in self._revoked.items()
            )

    def _search(
        self, stage: Stage, facts: list[evidence.WalletFacts], encoded: Any, spies: evidence.SpyBook
    ) -> None:
        if self.options.plant_leak:
            leaked = facts[0]
            with (stage.folder / "logs" / "web.log").open("a", encoding="utf-8") as log:
                log.write(f"planted on purpose: {leaked.email} {leaked.subscription_key} {leaked.canary}\n")
        updates = spies.updates()
        wanted = evidence.needles(facts, encoded, updates)
        longer = evidence.needles(facts, encoded, updates, window=evidence.OF_A_SERVER)
        found = list(evidence.places(stage.folder))
        self.result.places_scanned = len(found)
        self.result.bytes_scanned = sum(len(place.data) for place in found)
        files = [place for place in found if is_of_the_server(place)]
        rest = [place for place in found if not is_of_the_server(place)]
        self.result.findings = scan(rest, wanted) + scan(files, longer)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.result.seconds[name] = self.result.seconds.get(name, 0.0) + time.monotonic() - started

    @contextmanager
    def _bar(self, name: str, total: int | None) -> Iterator[Any]:
        columns = (
            TextColumn("  {task.description:<17}"),
            BarColumn(30),
            TextColumn("{task.completed:.0f}/{task.total}"),
        )
        started = time.monotonic()
        with Progress(*columns, TimeElapsedColumn(), console=self.console) as progress:
            task = progress.add_task(name, total=total)
            yield lambda done: progress.update(task, completed=done)
            progress.update(task, total=total or 1, completed=total or 1)
        self.result.seconds[name] = time.monotonic() - started


def _visits_of(hosts: Hosts, number: int) -> int:
    host, name = hosts.of(number)
    return sum(event["wallet"] == name for event in host.events("visit"))


def _notes(plan: Plan) -> list[str]:
    notes = [
        f"The notice period is {settings.NOTICE_MIN_SECONDS} seconds here; on a site for people it is 14 days.",
        (
            "The payout lot equals the rate and there is one collective here, so payouts do not hide who took part; a real site pays "
            "in lots over many collectives once a day."
        ),
        "Noise is added to every sum, but no formal privacy budget is claimed (level: aggregate).",
        "All parts run on one machine; tokens have no value.",
    ]
    if plan.development:
        notes.insert(
            0,
            f"Development cohort: sums of {plan.release_min} wallets are released. That is below the safe minimum of 100.",
        )
    return notes
