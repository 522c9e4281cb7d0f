"""What is broken, case by case. A case is one job; it breaks things while the job runs and says so with `struck`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from marketplace.supervisor.servers import PrivatePostgres, PrivateRedis
from tests.chaos.bench import Bench, let_go
from tests.chaos.loris import SlowLoris
from tests.stack.small import WALLETS

PHASES = ("advertise", "share_keys", "masked_input", "consistency", "unmask")
THIRD = -(-WALLETS * 3 // 10)
EVERY_SECOND = range(1, 2 * len(PHASES), 2)
"""Rounds that may be abandoned, with a whole one after each: a job with three abandoned rounds in a row ends early."""


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    sentence: str
    act: Callable[[Bench, str], None]
    rounds: int
    patience: float = 0


def kill_in_every_phase(part: str) -> Callable[[Bench, str], None]:
    """`kill -9` of one part: while wallets are invited in round 1, then in one phase of each round."""

    def act(bench: Bench, job: str) -> None:
        for number, phase in enumerate(PHASES, 2):
            bench.stall(number, phase, bench.open_seconds)
        _kill(bench, part, "inviting", bench.in_status(job, 1, "inviting"))
        for number, phase in enumerate(PHASES, 2):
            _kill(bench, part, phase, bench.in_phase(job, number, phase))

    return act


def _kill(bench: Bench, part: str, phase: str, there: bool) -> None:
    if not there:
        bench.missed(f"{part} in phase {phase}")
        return
    bench.site.kill(part)
    bench.struck(f"kill -9 of {part} in phase {phase}")


def timetables(bench: Bench, job: str) -> None:
    """All three beats at once, in every phase: nobody sweeps any more until they are back."""
    for number, phase in enumerate(PHASES, 1):
        bench.stall(number, phase, bench.open_seconds)
    for number, phase in enumerate(PHASES, 1):
        if not bench.in_phase(job, number, phase):
            bench.missed(f"every timetable in phase {phase}")
            continue
        for role in ("web", "distributor", "aggregator"):
            bench.site.kill(f"{role}-beat")
        bench.struck(f"kill -9 of every timetable in phase {phase}")


def everything_at_once(bench: Bench, job: str) -> None:
    """A power cut: every part, the broker and the database."""
    for number, phase in enumerate(("share_keys", "unmask"), 1):
        bench.stall(number, phase, bench.open_seconds)
    for number, phase in enumerate(("share_keys", "unmask"), 1):
        if not bench.in_phase(job, number, phase):
            bench.missed(f"power cut in phase {phase}")
            continue
        for name in bench.site.names():
            bench.site.kill(name)
        bench.site.postgres.kill()
        bench.site.redis.kill()
        bench.site.postgres.up()
        bench.site.redis.up()
        bench.struck(f"power cut in phase {phase}: every process, broker and database")
        bench.site.wait_up()


def wallets_machine(bench: Bench, job: str) -> None:
    """The machine that keeps all wallets: what a wallet revealed or proved must be on its disk before it is said."""
    bench.restarted_host = True
    for number, phase in zip(EVERY_SECOND, PHASES, strict=True):
        bench.stall(number, phase, bench.open_seconds)
        if bench.in_phase(job, number, phase):
            bench.stack.kill_host()
            bench.struck(f"kill -9 of the wallets' machine in phase {phase}")
        else:
            bench.missed(f"wallets' machine in phase {phase}")


def vanishing(bench: Bench, job: str) -> None:
    """30 % of the wallets, in a later step every second round. More than unmasking's threshold bears in a cohort of twelve once keys are
    shared: such a round reveals nothing, is abandoned with a reason, and whoever proved presence is paid."""
    steps = ("joined", "advertise", "share_keys", "masked_input", "consistency")
    planned = list(zip(EVERY_SECOND, steps, strict=True))
    for number, step in planned:
        bench.fault(number, "die", after=step, count=THIRD)
    for number, step in planned:
        _tell(bench, job, number, f"{THIRD} of {WALLETS} wallets vanish after {step.replace('_', ' ')}")
        bench.host.call("run")


def _tell(bench: Bench, job: str, number: int, name: str) -> None:
    """What was planned for this round happened in it, to as many wallets as it should."""
    if not bench.over(job, number):
        bench.missed(name)
        return
    planned = [fault for fault in bench.host.call("faults")["faults"] if fault["round"] == number]
    if all(len(fault["suffered"]) == fault["count"] for fault in planned):
        bench.struck(name)
    else:
        bench.missed(f"{name}: {[(f['kind'], f['after'], len(f['suffered'])) for f in planned]}")


def bad_agents(bench: Bench, job: str) -> None:
    """Half an upload and then nothing; silence with the socket open; sockets cut again and again."""
    bench.fault(1, "half", count=3)
    bench.host.call("fault", round=2, kind="stall", after="advertise", count=3, seconds=20 * bench.slow)
    bench.fault(3, "cut", after="advertise", count=6)
    bench.fault(3, "cut", after="share_keys", count=6)
    bench.fault(3, "cut", after="masked_input", count=6)
    bench.fault(4, "fail_algorithm", count=3)
    bench.fault(4, "lose_data", count=1)
    names = ("3 wallets send half a vector and hang", "3 wallets fall silent with their sockets open")
    names += ("half of the sockets are cut, three times", "3 algorithms fail, 1 wallet's data is gone")
    for number, name in enumerate(names, 1):
        _tell(bench, job, number, name)


def slow_loris(bench: Bench, job: str) -> None:
    """Hundreds of connections that say a byte now and then, on every door, while a job runs."""
    parts = ("web", "distributor", "aggregator")
    ports = [int(bench.site.supervisor.part(name).environment["CSSI_PORT"]) for name in parts]
    with SlowLoris(ports, each=120) as crowd:
        bench.struck(f"{crowd.count} slow connections on {len(ports)} doors")
        bench.over(job, 2)


def deliveries(bench: Bench, job: str) -> None:
    """Messages twice, messages in another order, wake-ups many times and in any order."""
    lines = (bench.site.distributor_line, bench.site.aggregator_line)
    for each in lines:
        each.doubling = True
    bench.over(job, 1)
    for each in lines:
        each.doubling, each.swapping = False, True
    bench.struck(f"{sum(each.doubled for each in lines)} messages and uploads delivered twice")
    bench.over(job, 2)
    for each in lines:
        each.swapping = False
    bench.struck(f"{sum(each.swapped for each in lines)} pairs of messages delivered in the other order")
    sent = 0
    while not bench.ended(job):
        sent += wake_everybody(bench)
        time.sleep(bench.slow)
    bench.struck(f"{sent} wake-ups repeated in random order")


def wake_everybody(bench: Bench) -> int:
    """Every periodic task of every role, and the step of every running round, sent three times in random order."""
    from celery import Celery
    from django.conf import settings

    from aggregation.server.models import Round
    from marketplace.settings.base import CELERY_BEAT_SCHEDULE
    from marketplace.settings.roles import ROUTES

    own = {"distributor": "distributor", "aggregator": "aggregator"}
    tasks = [(entry["task"], ()) for entry in CELERY_BEAT_SCHEDULE.values()] * 3
    running = Round.objects.exclude(step__in=("released", "posted", "abandoned")).values_list("pk", flat=True)
    tasks += [("aggregator.step_round", (pk,)) for pk in running] * 3
    random.shuffle(tasks)
    apps = {}
    for role in ("web", *own):
        apps[role] = Celery(broker=bench.site.redis.url(role), set_as_current=False)
        apps[role].conf.broker_transport_options = settings.CELERY_BROKER_TRANSPORT_OPTIONS | {
            "global_keyprefix": f"{role}:celery:"
        }
    for name, arguments in tasks:
        family = name.split(".")[0]
        queue = next(
            queue for pattern, queue in ROUTES if pattern.rstrip("*.") == family or pattern == f"{family}.*"
        )
        apps[own.get(family, "web")].send_task(name, arguments, queue=queue, expires=10)
    for app in apps.values():
        app.close()
    return len(tasks)


def broker(bench: Bench, job: str) -> None:
    """Everything that waited in it is gone: wake-ups, nonces, who is connected where."""
    for number, phase in enumerate(("masked_input", "advertise"), 1):
        bench.stall(number, phase, bench.open_seconds)
    for number, phase in enumerate(("masked_input", "advertise"), 1):
        if bench.in_phase(job, number, phase):
            _restart(bench.site.redis)
            bench.struck(f"broker killed in phase {phase}, back without its memory")
    bench.until_ended(job)
    _restart(bench.site.redis)
    bench.struck("broker killed while an epoch is settled")


def _restart(server: PrivatePostgres | PrivateRedis, down: float = 3.0) -> None:
    server.kill()
    time.sleep(down)
    server.up()


def database(bench: Bench, job: str) -> None:
    """As by a power cut of its machine; back after three seconds."""
    for number, phase in enumerate(("share_keys", "masked_input", "unmask"), 1):
        bench.stall(number, phase, bench.open_seconds)
    for number, phase in enumerate(("share_keys", "masked_input", "unmask"), 1):
        if bench.in_phase(job, number, phase):
            _restart(bench.site.postgres)
            bench.struck(f"database killed in phase {phase}")
        else:
            bench.missed(f"database in phase {phase}")
    bench.until_ended(job)
    _restart(bench.site.postgres)
    bench.struck("database killed while an epoch is settled")


def full_disk(bench: Bench, job: str) -> None:
    """Not a byte left for database, spool, logs and chain; an administrator makes room after ten seconds."""
    for number, phase in enumerate(("masked_input", "share_keys"), 1):
        bench.stall(number, phase, bench.open_seconds)
    for number, phase in enumerate(("masked_input", "share_keys"), 1):
        if bench.in_phase(job, number, phase):
            _fill(bench)
            bench.struck(f"disk full for ten seconds in phase {phase}")
        else:
            bench.missed(f"full disk in phase {phase}")
    bench.until_ended(job)
    _fill(bench)
    bench.struck("disk full for ten seconds while an epoch is settled")


def _fill(bench: Bench) -> None:
    with let_go(bench.site.disk.free):
        bench.site.disk.fill()
        time.sleep(10)
    bench.site.revive()


def clock(bench: Bench, job: str) -> None:
    """The machine's clock is set in the middle of rounds and of a settlement: an hour forward, back again, and to before the wallets' permits began."""
    # Every second round: one that is abandoned for a jump takes the next one's first phases with it. The last jump ends the job:
    # no wallet answers for a permit that is not valid yet, and three rounds without answers are enough.
    jumps = ((1, "share_keys", 3600), (3, "masked_input", 0), (5, "advertise", -3600))
    for number, phase, _ in jumps:
        bench.stall(number, phase, bench.open_seconds)
    for number, phase, seconds in jumps:
        if bench.in_phase(job, number, phase):
            bench.site.clock.set(seconds)
            bench.struck(f"the clock is set {seconds:+d} s off the true time in phase {phase}")
        else:
            bench.missed(f"clock in phase {phase}")
    bench.until_ended(job)
    bench.site.clock.set(-1800)
    bench.struck("the clock is set -1800 s off the true time while an epoch is settled")
