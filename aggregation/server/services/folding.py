"""Adding masked inputs to their bucket's running sum as they arrive.

An acknowledged input must survive a kill, so it is stored as it came first. Soon after, the inputs stored meanwhile are added
to the bucket's running sum: a new file is written, and one transaction makes their rows point to it. So a row always names the one
file its input is in, a crash at any point loses and doubles nothing, and neither memory nor disk grows with the number of wallets.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from django.db import transaction

from aggregation.secagg.messages import MaskedInput as MaskedMessage
from aggregation.secagg.server import Accumulator
from aggregation.server import config, context
from aggregation.server.models import ALIAS, MaskedInput
from aggregation.server.services.spool import is_running_sum, new_running_sum, open_sealed, slot_file
from aggregation.server.services.transitions import locked
from aggregation.server.states import Step


class Overtaken(Exception):
    """Someone else added these inputs, or the phase closed, while they were being added here."""


def add_up(here: context.RoundContext, names: Iterable[str]) -> Accumulator:
    """The sum of what lies in these files of a bucket, one at a time: memory of one vector, however many are added."""
    total = Accumulator(here.header)
    for name in sorted(set(names)):
        path = slot_file(here.pk, name)
        total.add(
            path.read_bytes() if is_running_sum(name) else MaskedMessage.from_bytes(open_sealed(path)).y
        )
    return total


def fold(round_id: int) -> int:
    """Add what was stored to the running sums of a round; how many inputs were added.

    A bucket with fewer than `config.FOLD_AT` new inputs waits for more, or for the end of the phase.
    """
    rows = MaskedInput.objects.filter(participant__round_id=round_id).values_list(
        "pk", "participant__bucket", "file"
    )
    buckets: dict[int, list[tuple[int, str]]] = {}
    for key, bucket, name in rows:
        buckets.setdefault(bucket, []).append((key, name))
    return sum(_fold(round_id, bucket, stored) for bucket, stored in buckets.items())


def _fold(round_id: int, bucket: int, stored: list[tuple[int, str]]) -> int:
    new = sum(not is_running_sum(name) for _, name in stored)
    if new < config.FOLD_AT:
        return 0
    names = {name for _, name in stored}
    target = slot_file(round_id, new_running_sum(bucket))
    try:
        _write(target, add_up(context.of(round_id), names))
        _point_to(round_id, stored, target.name)
    except (Overtaken, FileNotFoundError):
        target.unlink(missing_ok=True)
        return 0
    for name in names:
        slot_file(round_id, name).unlink(missing_ok=True)
    return new


def _write(path: Path, total: Accumulator) -> None:
    with path.open("wb") as out:
        out.write(total.to_bytes())
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
