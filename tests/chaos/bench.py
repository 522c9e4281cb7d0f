"""One broken thing after another: order a job, break something while it runs, wait for its end, look into the books."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from aggregation.wire.secret import Secret
from marketplace.demo.hosts import Hosts
from marketplace.keys import read_key
from tests.chaos import books
from tests.chaos.machine import NotPossibleHere
from tests.chaos.outcome import Fault, Outcome
from tests.chaos.site import Here, Say, Site, patiently
from tests.stack import line
from tests.stack.small import RATE, RELEASE_MIN, WALLETS, Browser, SmallStack, until

PHASES = {"advertise": 15, "share_keys": 12, "masked_input": 12, "consistency": 12, "unmask": 12}
PLAN = {"cohort": WALLETS, "bucket_size": WALLETS}
BUDGET = 600 * RATE
START_SECONDS = 15.0
"""In which all parts start on a machine that does nothing else. Where it takes longer, everything else is given so much longer."""
SLOWEST = 6.0
AFTER_SECONDS = 240
"""From a job's last round until everything is paid and refunded, with chain and workers dying in between."""
BEFORE = {
    "advertise": "trained",
    "share_keys": "advertise",
    "masked_input": "share_keys",
    "consistency": "masked_input",
    "unmask": "consistency",
}
"""Phase → the step after which a silent wallet keeps it open."""


class ChaosStack(SmallStack):
    """The small stack's people and wallets on a site that is here already."""

    def __init__(self, site: Site, slow: float = 1.0) -> None:
        self.folder, self.url = site.folder, f"http://127.0.0.1:{site.port}"
        self.distributor_line, self.aggregator_line = site.distributor_line, site.aggregator_line
        self.inside: Any = Here()
        self.hosts = None
        self.slow = max(slow, min(SLOWEST, site.start_seconds / START_SECONDS))

    def down(self) -> None:
        if self.hosts is not None:
            self.hosts.stop()
        self.distributor_line.end()
        self.aggregator_line.end()

    def kill_host(self) -> None:
        """`kill -9` of the machine with all wallets, which is then switched on again."""
        old = self.hosts.all[0]
        numbers = {n: name for n, (_, name) in self.hosts._names.items()}
        old._process.kill()
        old._process.wait(10)
        host = self.start_host()
        host.wait_ready(60 * self.slow)
        self.hosts = Hosts([host])
        self.hosts._names = {n: (host, name) for n, name in numbers.items()}
        host.call("run")


class Bench:
    """What cases use. `struck` counts a fault, `missed` says that one could not be placed."""

    def __init__(self, site: Site, stack: ChaosStack, say: Say) -> None:
        self.site, self.stack, self.say = site, stack, say
        self.outcomes: list[Outcome] = []
        self.now: Outcome = Outcome(name="", sentence="")
        self.updates: list[Any] = []
        self.admin = Browser(stack.url, stack.cast["ada"])
        self.restarted_host = False
        self.slow = stack.slow
        self.phases = {name: round(seconds * self.slow) for name, seconds in PHASES.items()}
        self.round_seconds = sum(self.phases.values()) + 30
        self.open_seconds = 6 * self.slow
        """So long a silent wallet keeps a phase open for the kill."""
        self.say(f"everything is given {self.slow:.1f} times the time of a machine that does nothing else")

    # --- what cases call ------------------------------------------------------------------------------------

    def struck(self, name: str) -> None:
        self.now.faults.append(Fault(case=self.now.name, name=name))
        self.say(f"  {name}")

    def missed(self, name: str) -> None:
        self.now.missed.append(name)
        self.say(f"  missed: {name}")

    def stall(self, number: int, phase: str, seconds: float) -> None:
        """One wallet falls silent, so that a phase of this round stays open."""
        self.host.call("fault", round=number, kind="stall", after=BEFORE[phase], count=1, seconds=seconds)

    def fault(self, number: int, kind: str, *, after: str = "joined", count: int = 1) -> None:
        self.host.call("fault", round=number, kind=kind, after=after, count=count)

    @property
    def host(self) -> Any:
        return self.stack.hosts.all[0]

    def in_phase(self, job: str, number: int, phase: str, seconds: float = 0) -> bool:
        """Wait until the aggregator's round stands in this phase; False when it passed it by."""
        from aggregation.server.models import Round
        from aggregation.server.states import ORDER, Step

        wanted, limit = Step(phase), time.monotonic() + (seconds or 2 * self.round_seconds)
        rows = Round.objects.filter(job_id=job, number=number)
        while time.monotonic() < limit:
            here = patiently(lambda: rows.values_list("step", flat=True).first())
            if here == wanted.value:
                return True
            if (here is not None and ORDER[Step(here)] > ORDER[wanted]) or self.ended(job):
                return False
            time.sleep(0.02)
        return False

    def in_status(self, job: str, number: int, status: str, seconds: float = 0) -> bool:
        """The same by the collective's own word for a round."""
        from collectives.models import Round

        rows = Round.objects.filter(job_id=job, number=number)
        limit = time.monotonic() + (seconds or 2 * self.round_seconds)
        while time.monotonic() < limit:
            here = patiently(lambda: rows.values_list("status", flat=True).first())
            if here == status:
                return True
            if here in ("posted", "abandoned") or self.ended(job):
                return False
            time.sleep(0.02)
        return False

    def over(self, job: str, number: int) -> bool:
        """Wait for a round's end; False when the job ended before it was begun."""

        def there() -> str:
            rows = self.stack.job(job)["rounds"]
            if any(row["number"] == number and row["status"] in ("posted", "abandoned") for row in rows):
                return "over"
            return "never" if self.ended(job) else ""

        return bool(until(there, seconds=3 * self.round_seconds, what=f"the end of round {number}") == "over")

    def ended(self, job: str) -> bool:
        """No further round is made; what follows is settling."""
        from collectives.models import Job

        status = patiently(lambda: Job.objects.values_list("status", flat=True).get(pk=job))
        over = ("completed", "budget_exhausted", "privacy_exhausted", "stopped", "failed", "settled")
        return status in over

    def until_ended(self, job: str) -> None:
        until(lambda: self.ended(job), seconds=6 * self.round_seconds, what="the last round")

    # --- a case ---------------------------------------------------------------------------------------------

    def run(
        self, name: str, sentence: str, act: Callable[[Bench, str], None], *, rounds: int, patience: float = 0
    ) -> Outcome:
        """One job with whatever `act` breaks while it runs, and the verdict over it. `patience`: seconds more until it must be over."""
        self.now = outcome = Outcome(name=name, sentence=sentence)
        self.say(f"{name}: {sentence}")
        began, before = time.monotonic(), self._wallets()
        self.restarted_host = False
        self.stack.aggregator_line.conversations.clear()
        self.stack.distributor_line.conversations.clear()
        job = ""
        try:
            times = {"phase_seconds": self.phases, "enrol_seconds": round(20 * self.slow)}
            times["accept_seconds"] = round(6 * self.slow)
            job = self.stack.order(budget=BUDGET, max_rounds=rounds, **PLAN, **times)
            act(self, job)
            told = self._closed(job, rounds * 2 * self.round_seconds + (AFTER_SECONDS + patience) * self.slow)
            self._heal()
            self._judge(outcome, job, told, before)
        except NotPossibleHere as reason:
            outcome.not_possible = str(reason)
        except (
            Exception
        ) as error:  # whatever it is, it is what this suite looks for; the next case shall still be tried
            outcome.verdict.violations.append(f"{type(error).__name__}: {str(error)[:600]}")
        try:
            self._calm(job)
        except Exception as error:
            outcome.verdict.violations.append(f"afterwards: {type(error).__name__}: {str(error)[:300]}")
        outcome.seconds = time.monotonic() - began
        for fault in outcome.faults:
            fault.survived = not outcome.verdict.violations
        self.outcomes.append(outcome)
        words = outcome.not_possible or "; ".join(outcome.verdict.violations) or "the books are right"
        self.say(f"  {outcome.rounds}{outcome.seconds:.0f} s: {words}")
        return outcome

    def _closed(self, job: str, seconds: float) -> dict[str, Any]:
        limit = time.monotonic() + seconds
        while not (told := self.stack.job(job))["closed"]:
            if time.monotonic() > limit:
                raise AssertionError(
                    f"the job is stuck: {told['status']}, {told['rounds'][-1:]}, {self._waiting()}"
                )
            time.sleep(0.4)
        return told

    def _waiting(self) -> list[Any]:
        from marketplace.settlement.models import ChainTransaction

        final = ("confirmed", "failed")
        rows = ChainTransaction.objects.exclude(state__in=final)
        return list(rows.values_list("key", "state", "error")[:5])

    def _calm(self, job: str) -> None:
        """Nothing stays broken for the next case."""
        self._heal()
        self.site.wait_up()
        self.host.call("faults", forget=True)  # a plan names rounds, and the next job has rounds 1, 2, … too
        self.host.call("run")
        until(
            lambda: self.host.call("status")["connected"] == WALLETS,
            seconds=120 * self.slow,
            what="all wallets to be connected",
        )
        if job and not self.stack.job(job)["closed"]:
            self.stack.carla.api(f"jobs/{job}/stop")

    def _heal(self) -> None:
        self.site.chain_line.hook = None
        self.site.blocks_come.set()
        self.site.disk.free()
        if not self.site.clock.missing:
            self.site.clock.set(0)
        for each in (self.site.distributor_line, self.site.aggregator_line):
            each.doubling = each.swapping = False

    # --- looking --------------------------------------------------------------------------------------------

    def _wallets(self) -> dict[int, books.Wallet]:
        paid = self._paid()
        found = self.host.call("books", first=0, count=WALLETS)["books"]
        names = {name: number for number, (_, name) in self.stack.hosts._names.items()}
        answer = {}
        for name, book in zip(sorted(names), found, strict=True):
            accepted = self.host.call("visits", wallet=name, kinds=["accepted"])["entries"]
            answer[names[name]] = books.Wallet(
                visits=book["visits"],
                accepted=len(accepted),
                paid=paid.get(book["address"].lower().removeprefix("0x"), 0),
            )
        return answer

    def _paid(self) -> dict[str, int]:
        """What the chain itself says it paid, by address without 0x."""
        from marketplace.settlement import selectors
        from marketplace.settlement.chain import chain

        pool, token = selectors.address("PayoutPool"), selectors.address("DevToken")
        found: dict[str, int] = {}
        for entry in patiently(lambda: chain().events("DevToken", token, "Transfer")):
            if entry["from"] == pool:
                to = str(entry["to"]).lower().removeprefix("0x")
                found[to] = found.get(to, 0) + int(entry["value"])
        return found

    def _judge(
        self, outcome: Outcome, job: str, told: dict[str, Any], before: dict[int, books.Wallet]
    ) -> None:
        from aggregation.server.models import Round
        from marketplace.settlement.models import SettlementEpoch

        verdict = outcome.verdict
        states = [row["status"] for row in told["rounds"]]
        outcome.rounds = (
            f"{states.count('posted')} rounds in the model, {states.count('abandoned')} abandoned; "
        )
        self.site.wait_up()
        after = self._wallets()
        fields = ("number", "earned", "paid", "carried", "held_over")
        epochs = [
            books.Epoch(**{name: int(row[name]) for name in fields})
            for row in SettlementEpoch.objects.order_by("number").values(*fields)
        ]
        books.judge_money(
            verdict,
            rate=RATE,
            wallets={number: wallet.since(before[number]) for number, wallet in after.items()},
            told=told,
            money=self.stack.inside.money(job=job),
            epochs=epochs,
        )
        rows = [
            {"number": row.number, "step": row.step, "reason": row.reason, "has_sum": row.sum is not None}
            for row in Round.objects.filter(job_id=job)
        ]
        books.judge_life(verdict, told=told, rounds=rows, release_min=RELEASE_MIN)
        self._judge_secrets(verdict, job, told)
        self._judge_admin(verdict, job)

    def _judge_secrets(self, verdict: books.Verdict, job: str, told: dict[str, Any]) -> None:
        from django.conf import settings

        key = Secret(read_key(settings.KEYS_DIR / "aggregator-seal.key"))
        opened = line.open_all(list(self.stack.aggregator_line.conversations), key)
        books.judge_reveals(verdict, opened.reveals)
        plain = {}
        for number, sent in self._spied(job):
            total = np.sum(sent, axis=0).astype(np.float64) / (float(1 << 16) * len(sent))
            plain[number] = (len(sent), hashlib.sha256(total.astype("<f8").tobytes()).hexdigest())
        if not self.restarted_host:
            books.judge_sums(verdict, told["checkpoints"], plain)
        self._search(verdict)

    def _search(self, verdict: books.Verdict) -> None:
        """Every table, database file, write-ahead log, broker file, spool and log, for every update that a wallet made in this case."""
        from marketplace.demo import evidence
        from marketplace.demo.scan import scan
        from marketplace.demo.who_knows import Fact

        forms = [
            needle
            for number, vector in enumerate(self.updates)
            for kind in ("<i4", "<i8")
            for needle in evidence._windows(
                Fact.UNMASKED_UPDATE, number, vector.astype(kind), evidence.OF_A_SERVER
            )
        ]
        places = [place for place in evidence.places(self.site.folder) if place.domain != "wallet"]
        found = scan(places, forms)
        verdict.searched = f"{len(self.updates)} updates in {len(places)} places"
        verdict.readable += sum(len(each.owners) for each in found)
        verdict.expect(not found, f"updates lie in {[each.place for each in found][:5]}")
        self.updates = []

    def _spied(self, job: str) -> Iterator[tuple[int, list[Any]]]:
        """Round → the updates of the wallets that sent a masked input."""
        path = self.site.folder / "spy.json"
        self.host.call("spy", path=str(path))
        for entry in json.loads(path.read_text()):
            if entry["job"] != job:
                continue
            seen = [
                (s["steps"], np.frombuffer(base64.b64decode(s["vector"]), "<i8"))
                for s in entry["wallets"].values()
            ]
            self.updates += [vector for _, vector in seen]
            if sent := [vector for steps, vector in seen if "masked_input" in steps]:
                yield entry["round"], sent
        path.unlink()

    def _judge_admin(self, verdict: books.Verdict, job: str) -> None:
        """The administrator finds every state, and the reason of what ended early."""
        pages = (
            "collectives/job",
            "collectives/round",
            "collectives/jobtransition",
            "settlement/chaintransaction",
        )
        pages += ("settlement/settlementepoch", "settlement/escrow", "settlement/reconciliation", "overview")
        found = {page: patiently(lambda page=page: self.admin.get(f"/admin/{page}/")) for page in pages}
        for page, answer in found.items():
            shown = answer.status_code == 200 and answer.url.path == f"/admin/{page}/"
            verdict.expect(
                shown, f"the admin's page {page} answers {answer.status_code} at {answer.url.path}"
            )
        for page, query, rows in self._states(job):
            address = f"/admin/{page}/?{query}"
            answer = patiently(lambda address=address: self.admin.get(address))
            books.judge_shown(verdict, page, html.unescape(answer.text), rows)

    def _states(self, job: str) -> Iterator[tuple[str, str, list[tuple[str, str, str]]]]:
        """(page of the admin, its query, what it must say) of a job, its way there, its rounds and the latest transactions."""
        from collectives.models import Job
        from marketplace.settlement.models import ChainTransaction

        row = Job.objects.get(pk=job)
        yield "collectives/job", f"id__exact={job}", [(job, row.get_status_display(), row.reason)]
        way = [(each.became, each.became, each.reason) for each in row.transitions.all()]
        yield "collectives/jobtransition", f"job__id__exact={job}", way
        rounds = [(str(each.number), each.get_status_display(), each.reason) for each in row.rounds.all()]
        yield "collectives/round", f"job__id__exact={job}", rounds
        sent = ChainTransaction.objects.filter(state__in=("confirmed", "failed")).order_by("-created_at")[:20]
        of_chain = [(each.key, each.get_state_display(), each.error) for each in sent]
        yield "settlement/chaintransaction", "o=-8", of_chain


@contextmanager
def let_go(undo: Callable[[], None]) -> Iterator[None]:
    """Whatever happens, undo it."""
    try:
        yield
    finally:
        undo()
