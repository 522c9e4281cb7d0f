"""Adding masked inputs to their bucket's running sum as they arrive.

An acknowledged input must survive a kill, so it is stored as it came first. Soon after, the inputs stored meanwhile are added
to the bucket's running sum: a new file is written, and one transaction makes their rows point to it. So a row always names the one
file its input is in, a crash at any point loses and doubles nothing, and neither memory nor disk grows with the number of wallets
(small inputs, which lie together, keep their place on the disk to the end of the phase).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from django.db import transaction

from aggregation.secagg.messages import read_to_vector
from aggregation.secagg.server import Accumulator
from aggregation.server import config, context, memory
from aggregation.server.models import ALIAS, MaskedInput
from aggregation.server.services import spool
from aggregation.server.services.spool import fill, is_running_sum, new_running_sum, slot_file
from aggregation.server.services.transitions import locked
from aggregation.server.states import Step


class Overtaken(Exception):
    """Someone else added these inputs, or the phase closed, while they were being added here."""


def add_up(here: context.RoundContext, names: Iterable[str]) -> Accumulator:
    """The sum of what lies in these files of a bucket, piece by piece: memory of one vector, however many are added."""
    total = Accumulator(here.header)
    for name in sorted(set(names)):
        if is_running_sum(name):
            read_sum(slot_file(here.pk, name), total)
            continue
        with spool.opened(here.pk, name) as sealed:
            read_to_vector(sealed.read, here.header.masked_bytes)
            total.add_from(sealed.read)
    return total


def read_sum(path: Path, total: Accumulator) -> None:
    """Add a stored sum."""
    with path.open("rb") as file:
        total.add_from(partial(fill, file))


def fold(round_id: int) -> int:
    """Add what was stored to the running sums of a round; how many inputs were added.

    A bucket with fewer new inputs than `config.FOLD_AT` and `config.FOLD_BYTES` say waits for more, or for the end of the phase.
    """
    rows = MaskedInput.objects.filter(participant__round_id=round_id).values_list(
        "pk", "participant__bucket", "file"
    )
    buckets: dict[int, list[tuple[int, str]]] = {}
    for key, bucket, name in rows:
        buckets.setdefault(bucket, []).append((key, name))
    try:
        return sum(_fold(round_id, bucket, stored) for bucket, stored in buckets.items())
    finally:
        memory.trim()


def _fold(round_id: int, bucket: int, stored: list[tuple[int, str]]) -> int:
    here = context.of(round_id)
    new = sum(not is_running_sum(name) for _, name in stored)
    if new < config.FOLD_AT or new * here.header.masked_bytes < config.FOLD_BYTES:
        return 0
    names = {name for _, name in stored}
    target = slot_file(round_id, new_running_sum(bucket))
    try:
        _write(target, add_up(here, names))
        _point_to(round_id, stored, target.name)
    except (Overtaken, FileNotFoundError):
        target.unlink(missing_ok=True)
        return 0
    spool.remove(round_id, itertools.filterfalse(spool.shares_a_file, names))
    return new


def _write(path: Path, total: Accumulator) -> None:
    with path.open("wb") as out:
        out.write(total.view)
        out.flush()
        os.fsync(out.fileno())


def _point_to(round_id: int, stored: list[tuple[int, str]], name: str) -> None:
    """Raises:
    Overtaken: a row changed meanwhile, or the phase is over; nothing is changed.
    """
    with transaction.atomic(using=ALIAS):
        if Step(locked(round_id).step) is not Step.MASKED_INPUT:
            raise Overtaken
        rows = MaskedInput.objects.filter(pk__in=[key for key, _ in stored], file__in={n for _, n in stored})
        if rows.update(file=name) != len(stored):
            raise Overtaken
