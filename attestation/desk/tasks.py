"""Celery tasks of the desk, for a site where one worker serves every role. A desk that stands alone sweeps by command (docs/attestation.md)."""

from __future__ import annotations

import logging

from celery import shared_task

from attestation.desk import services, unlinkable

logger = logging.getLogger(__name__)


@shared_task(name="issuer.sweep", ignore_result=True)
def sweep() -> None:
    """Erase the values of offers whose time is over; remind the maker of keys. Safe to lose and to repeat."""
    erased = services.sweep()
    if erased:
        logger.info("%d offers were over; their values are erased", erased)
    unlinkable.wake_maker()


@shared_task(name="issuer.keys", ignore_result=True)
def keys() -> None:
    """Make the keys for unlinkable proofs that desks asked for; up to a minute each. Safe to lose and to repeat."""
    made = unlinkable.make_wanted()
    if made:
        logger.info("keys for unlinkable proofs of %d desks", made)
