"""A task goes to one queue: workers of several queues must not do it several times."""

from __future__ import annotations

import pytest
from celery import current_app
from kombu import Connection

from marketplace.settings import roles


@pytest.mark.parametrize(
    "task", ["collectives.sweep", "settlement.sweep", "individuals.letters", "distributor.tell_left"]
)
def test_a_task_waits_in_exactly_one_queue(task: str) -> None:
    with Connection("memory://") as connection:
        channel = connection.channel()
        bound = {queue.name: queue(channel) for queue in roles.celery_queues(roles.ALL)}
        for queue in bound.values():
            queue.declare()
            queue.purge()  # the memory transport is the process's, and other tests send tasks too
        assert set(current_app.amqp.queues) == set(bound)

        wanted = current_app.amqp.router.route({}, task)["queue"]
        connection.Producer(channel).publish({}, exchange=wanted.exchange, routing_key=wanted.routing_key)

        assert [name for name, queue in bound.items() if queue.get() is not None] == [wanted.name]
