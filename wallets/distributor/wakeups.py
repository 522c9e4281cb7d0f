"""Wake-ups: hints that something in the database changed. Losing one costs seconds, never a message.

They carry row numbers and job ids only; a pseudonym or a key never goes into the broker.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Any

from asgiref.sync import async_to_sync
from celery import current_app
from channels.layers import get_channel_layer
from django.db import transaction

from wallets.distributor.models import ALIAS

GROUP = "distributor.hubs"
Wake = dict[str, Any]
HERE = os.urandom(8).hex()
"""This process among all that share the channel layer; in containers process numbers repeat."""
logger = logging.getLogger(__name__)
_local: dict[Callable[[Wake], None], asyncio.AbstractEventLoop] = {}


def listen(callback: Callable[[Wake], None]) -> None:
    """Register a hub of this process; `callback` runs on the current event loop."""
    _local[callback] = asyncio.get_running_loop()


def unlisten(callback: Callable[[Wake], None]) -> None:
    _local.pop(callback, None)


def tell_hubs(**what: Any) -> None:
    """After the running transaction commits, wake every hub: `mail=`, `job=` or `round=` with a primary key."""
    transaction.on_commit(lambda: _tell(what), using=ALIAS)


def enqueue(task: str, *args: str | int) -> None:
    """After the running transaction commits, send a task by name."""
    transaction.on_commit(lambda: _send(task, *args), using=ALIAS)


def _tell(what: Wake) -> None:
    for callback, loop in tuple(_local.items()):
        if not loop.is_closed():
            loop.call_soon_threadsafe(callback, what)
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        async_to_sync(layer.group_send)(GROUP, {"type": "wake", "from": HERE, **what})
    except Exception:  # the hubs look into the database every few seconds anyway
        logger.warning("a wake-up could not be sent; the sweep will find the change")


def _send(task: str, *args: str | int) -> None:
    try:
        current_app.send_task(task, args=args, retry=False, ignore_result=True)
    except Exception:
        logger.warning("the task %s could not be sent; the sweep will do its work", task)
