"""The rehearsal of production, with a chain whose last blocks may still be undone."""

from __future__ import annotations

from marketplace.settings.rehearsal import *  # noqa: F403

CHAIN_CONFIRMATIONS = 4
