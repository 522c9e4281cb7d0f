#!/usr/bin/env python
"""Django's command line for the platform."""

from __future__ import annotations

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "marketplace.settings.local")
    if sys.argv[1:2] in (["demo"], ["seed_example"]):
        from marketplace.demo.isolation import kept_state, own_state

        (own_state if sys.argv[1] == "demo" else kept_state)(sys.argv)
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
