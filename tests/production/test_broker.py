"""A broker that dies in the worst moment: when a worker tells it that a task is done."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from marketplace.supervisor.servers import PrivateRedis
from tests.production import REPOSITORY, plugin
from tests.production.site import Site
from tests.stack.small import until

QUEUE = "distributor"


@pytest.fixture
def broker() -> Iterator[PrivateRedis]:
    """Of this test alone."""
    server = PrivateRedis(users=plugin.ROLES)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def worker(broker: PrivateRedis, tmp_path: Path) -> Iterator[Path]:
    """The distributor's worker with a single process; its log."""
    log = tmp_path / "worker.log"
    environment = Site(tmp_path, plugin.postgres, broker).environment("distributor")
    # A heartbeat that comes first waits for the broker, and hides what is tried here.
    command = [
        *(sys.executable, "-m", "celery", "-A", "tests.production.falling", "worker", "--queues", QUEUE),
        *("--concurrency", "1", "--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=out, stderr=out)
    yield log
    process.kill()
    process.wait(10)


def test_a_worker_that_cannot_acknowledge_goes_on_when_the_broker_is_back(
    broker: PrivateRedis, worker: Path, tmp_path: Path
) -> None:
    """Kombu counts such a task as still held, so a limit of held tasks would keep its worker from ever asking for another."""
    app = Celery(broker=broker.url("distributor"), set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": "distributor:celery:"}

    def send(name: str, *arguments: object) -> Path:
        done = tmp_path / name
        app.send_task(f"tests.{name}", [*arguments, str(done)], queue=QUEUE)
        return done

    with redis.from_url(broker.url()) as server:
        fallen = send("falling", server.info("server")["process_id"])
    until(fallen.exists, seconds=120, what="the worker to take its first task")
    until(lambda: b"Couldn't ack" in worker.read_bytes(), seconds=30, what="the acknowledgement to fail")
    broker.kill()
    broker.up()
    until(send("standing").exists, seconds=60, what="the worker to take a task of the broker that is back")
    app.close()
