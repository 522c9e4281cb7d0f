"""Numbers of people leave the collective domain in steps while they are live, never exactly."""

from __future__ import annotations

from django.utils.formats import number_format
from django.utils.translation import gettext as _

STEPS = (1, 10, 50, 100, 300, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 100_000)


def step_of(count: int) -> int:
    """The step that so many people reach: 447 -> 300; 0 where there is nobody."""
    return max((step for step in STEPS if step <= count), default=0)


def bucketed(count: int) -> str:
    """A number of people in steps, in the reader's words: 447 -> '300+'."""
    step = step_of(count)
    return _at_least(step) if step else _("none yet")


def bucketed_above(count: int, least: int) -> str:
    """As `bucketed`, and below `least` only that: of few people even a step tells when one of them came."""
    if count < least:
        return _("fewer than %(least)s") % {"least": _grouped(least)}
    return _at_least(max(step for step in (least, *STEPS) if step <= count))


def _at_least(step: int) -> str:
    return f"{_grouped(step)}+"


def _grouped(number: int) -> str:
    return str(number_format(number, use_l10n=True, force_grouping=True))
