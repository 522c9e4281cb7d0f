"""A worker that dies in the middle of its work on a transaction, and the steps of the outbox at which it may."""

from __future__ import annotations

import pytest


class Killed(Exception):
    """Stands for `kill -9`: nothing after it runs."""


STEPS = [
    "_store_signed",
    pytest.param("_send", marks=pytest.mark.long),
    pytest.param("_look", marks=pytest.mark.long),
    "_confirm",
]
"""Half of them only in the long run: each needs a chain of its own for some ten seconds."""
