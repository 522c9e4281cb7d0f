"""The run: wallets, subscriptions, one job until the budget is spent, settlement. Each part finds out what is there and does the rest."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.conf import settings

from collectives.models import Collective, Job, OutgoingCall, Round
from collectives.models.jobs import ENDED
from collectives.services import algorithms
from collectives.services import collectives as register
from collectives.terms.algorithm import manifest_hash
from marketplace.demo import cast, job_performance
from marketplace.demo.hosts import HostProcess
from marketplace.demo.seed_example.notebook import Notebook
from marketplace.demo.seed_example.size import RATE, Size
from marketplace.demo.seed_example.stage import HOSTS, KeptStage
from marketplace.jobs import services as orders
from marketplace.jobs.models import Order
from marketplace.settlement import selectors as money
from marketplace.settlement import services as settlement
from marketplace.settlement.models import ChainTransaction, Payout

BATCH = 250
LOOK_SECONDS = 5.0
SETTLE_SECONDS, IDLE_SECONDS = 5.0, 20.0
STUCK_SECONDS = 3600
ORDER_KEY = "seed-example"
PURPOSE = "Learn which skills, preferences and characteristics go with good work in which job."
Say = Callable[[str, int, int], None]
"""(what, how many are done, of how many)"""


class StuckError(RuntimeError):
    """Nothing moved for an hour; the sentence says what was waited for."""


class Run:
    """One start of the command: it goes on from what is there. `say` hears of every step forward."""

    def __init__(self, stage: KeptStage, book: Notebook, say: Say) -> None:
        self._stage, self.book, self._say = stage, book, say
        self._last: dict[str, float] = {}
        self._looked, self._lock = 0.0, threading.Lock()

    @property
    def size(self) -> Size:
        return self.book.size

    def wallets(self) -> None:
        """Create what is missing and subscribe what has not subscribed; wallets that cannot are replaced."""
        with self._phase("wallets"):
            self._each_host(self._create)
        collective = self.collective()
        with self._phase("subscriptions"):
            self._each_host(lambda host, share: self._subscribe(host, share, collective.pk))
            self._until(
                lambda: self._subscribers(collective) >= self.size.wallets and not _untold(),
                "the distributor to know every subscriber",
            )
        for host in self._stage.hosts:
            host.call("run", within=STUCK_SECONDS)

    def collective(self) -> Collective:
        """The run's collective with its reviewed algorithm, registered once."""
        if self.book.collective_id:
            return Collective.objects.get(pk=self.book.collective_id)
        people, size = cast.create(0), self.size
        requirement = job_performance.requirement()
        manifest = job_performance.manifest(requirement)
        algorithm = algorithms.submit(actor=people.author, manifest=manifest)
        if algorithm.status != "approved":
            algorithms.approve(actor=people.admin, algorithm=algorithm)
        found = register.register(
            actor=people.owner,
            name="Skills for a job (generated people)",
            purpose=PURPOSE,
            not_for="Decisions about single persons.",
            task_description=(
                "The example of the founding document: a small net predicts skills, preferences and characteristics from a job title "
                "and two grades. The people are generated."
            ),
            requirement=requirement,
            rate=RATE,
            bucket_min=size.bucket_min,
            release_min=size.release_min,
            order_policy="open",
            development=size.development,
            manifests=[algorithm.manifest_hash],
        )
        self.book.collective_id = str(found.pk)
        self.book.save(self._stage.folder)
        return found

    def rounds(self) -> Job:
        """Order and fund the job where that has not been done, and follow it to its end."""
        if not self.book.idle:
            self._stand_by()
        order = self._ordered()
        job = Job.objects.get(pk=order.job_id)
        with self._phase("enrolment"):
            self._until(lambda: self._begun(job), "the job's first round")
        with self._phase("rounds"):
            moved, before = time.monotonic(), -1
            while True:
                job.refresh_from_db()
                self._say("visits", job.visits_earned, self.size.visits)
                if job.status in ENDED:
                    return job
                steps = job.visits_earned + sum(
                    Round.objects.filter(job=job).values_list("accepted", flat=True)
                )
                if steps != before:
                    moved, before = time.monotonic(), steps
                elif time.monotonic() - moved > STUCK_SECONDS:
                    raise StuckError(
                        f"No round of the job ended for an hour; it is {job.status}. {self._logs()}"
                    )
                self._look("rounds")
                time.sleep(1)

    def settle(self) -> Order:
        """Every visit paid, the rest refunded."""
        order = Order.objects.get(pk=self.book.order_id)
        with self._phase("settlement"):
            self._until(lambda: self._settled(order), "payouts and refund")
        order.refresh_from_db()
        return order

    # parts

    def _create(self, host: HostProcess, share: int) -> None:
        index = self._stage.hosts.index(host)
        there = host.call("status")["wallets"]
        while there < share:
            count = min(BATCH, share - there)
            seed = (self.book.seed * HOSTS + index) * 10**9 + there
            records = job_performance.people(count, seed=seed)
            host.call("create", inline=records, within=STUCK_SECONDS)
            there += count
            self._did("wallets", count)

    def _subscribe(self, host: HostProcess, share: int, collective_id: uuid.UUID) -> None:
        """Wallets whose making was cut off before their record was stored cannot subscribe: others take their place."""
        while (there := host.call("status")["subscribed"]) < share:
            answer = host.call(
                "subscribe", collective=str(collective_id), missing=True, most=BATCH, within=STUCK_SECONDS
            )
            if answer["refused"]:
                missing = sum(answer["refused"].values())
                self._create(host, host.call("status")["wallets"] + missing)
                if not answer["subscribed"]:
                    raise StuckError(f"No wallet could subscribe: {answer['refused']}. {self._logs()}")
            self._did("subscriptions", host.call("status")["subscribed"] - there)

    def _ordered(self) -> Order:
        """The run's order, placed once, its escrow opened."""
        consumer, size = cast.create(0).consumer, self.size
        order = self._known_order() or orders.order(
            consumer=consumer,
            collective_id=self.collective().pk,
            manifest_hash=manifest_hash(job_performance.manifest(job_performance.requirement())),
            budget=size.budget,
            max_rounds=size.rounds,
            plan=size.plan(),
            idempotency_key=ORDER_KEY,
        )
        self.book.order_id = str(order.pk)
        self.book.save(self._stage.folder)
        if money.escrow_state(order.job_id) is None:
            if (money.funds(consumer)["balance"] or 0) < size.budget:
                settlement.faucet(consumer, size.budget)
                self._until(
                    lambda: (money.funds(consumer)["balance"] or 0) >= size.budget, "the consumer's tokens"
                )
            orders.fund(order=order, actor=consumer)
        return order

    def _known_order(self) -> Order | None:
        """A newer version may plan otherwise by default: what was ordered is gone on with, not ordered again."""
        return Order.objects.filter(pk=self.book.order_id).first() if self.book.order_id else None

    def _stand_by(self) -> None:
        """What everybody costs while nothing happens: a slow machine must not count it as the visits' cost."""
        time.sleep(SETTLE_SECONDS)
        before, began = sum(self._cpu().values()), time.monotonic()
        time.sleep(IDLE_SECONDS)
        self.book.idle = (sum(self._cpu().values()) - before) / (time.monotonic() - began)

    def _begun(self, job: Job) -> bool:
        """Each wallet enrols once in a job, however many rounds it has: that is not a visit's cost."""
        job.refresh_from_db()
        self._say("enrolments", job.enrolled, self.size.wallets)
        self._look("enrolment")
        return job.status in {*ENDED, Job.Status.RUNNING, Job.Status.PAUSED}

    def _settled(self, order: Order) -> bool:
        order.refresh_from_db()
        payouts = Payout.objects.all()
        confirmed = payouts.filter(transaction__state=ChainTransaction.State.CONFIRMED).count()
        self._say("payouts", confirmed, payouts.count())
        self._look("settlement")
        return order.closed and not money.in_flight()

    # watching

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self._last = self._cpu()
        self._began = time.monotonic()
        try:
            yield
        finally:
            self._measure(name)
            self.book.save(self._stage.folder)

    def _did(self, name: str, count: int) -> None:
        with self._lock:
            phase = self.book.phase(name)
            phase.done += count
            self._say(name, phase.done, self.size.wallets)
            self._look(name)

    def _look(self, name: str) -> None:
        """Now and then: add up what was spent since, and keep it."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        self._measure(name)
        if name == "rounds":
            order = Order.objects.get(pk=self.book.order_id)
            point = (self._visits(order.job_id), round(self.book.phase(name).cpu_seconds, 2))
            if not self.book.points or self.book.points[-1][0] != point[0]:
                self.book.points.append(point)
        self.book.save(self._stage.folder)

    def _measure(self, name: str) -> None:
        """A part that was restarted counts from nothing again; nothing is ever taken away."""
        phase, now = self.book.phase(name), self._cpu()
        for part, cpu in now.items():
            spent = cpu - self._last.get(part, 0.0)
            phase.cpu[part] = phase.cpu.get(part, 0.0) + (spent if spent >= 0 else cpu)
        phase.seconds += time.monotonic() - self._began
        self._began, self._last = time.monotonic(), now

    def _cpu(self) -> dict[str, float]:
        costs = self._stage.costs()
        self.book.note_memory(costs)
        return {name: cost.cpu for name, cost in costs.items()}

    def _until(self, condition: Callable[[], bool], what: str) -> None:
        limit = time.monotonic() + STUCK_SECONDS
        while not condition():
            if time.monotonic() > limit:
                raise StuckError(f"Waited an hour for {what}. {self._logs()}")
            time.sleep(1)

    def _each_host(self, work: Callable[[HostProcess, int], None]) -> None:
        """Side by side, each host with its share of the wallets."""
        hosts = self._stage.hosts
        shares = [
            self.size.wallets // len(hosts) + (n < self.size.wallets % len(hosts)) for n in range(len(hosts))
        ]
        with ThreadPoolExecutor(len(hosts)) as pool:
            for done in [pool.submit(work, *pair) for pair in zip(hosts, shares, strict=True)]:
                done.result()

    def _subscribers(self, collective: Collective) -> int:
        return int(collective.subscriptions.filter(status="active").count())

    def _visits(self, job_id: Any) -> int:
        return int(Job.objects.values_list("visits_earned", flat=True).get(pk=job_id))

    def _logs(self) -> str:
        return f"The logs are in {settings.LOG_DIR}; the same command goes on from here."


def _untold() -> bool:
    """Whether some subscription is still on its way to the distributor: who comes after the announcement is not in the job."""
    return OutgoingCall.objects.filter(status=OutgoingCall.Status.WAITING).exists()
