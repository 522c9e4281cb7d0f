"""What programs of a benchmark know of the process that starts them."""

from __future__ import annotations

import os

OF_A_SITE = ("CSSI_", "DJANGO_", "CHAIN_")


def inherited() -> dict[str, str]:
    """This process's environment without what configures a site: another section may have set up one of its own in here."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OF_A_SITE)}
