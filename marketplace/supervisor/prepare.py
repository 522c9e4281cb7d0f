"""What must be in place before the parts can serve: tables in every database, contracts on the chain."""

from __future__ import annotations

import io

from django.conf import settings
from django.core.management import call_command


def migrate_all() -> None:
    for alias in settings.DATABASES:
        call_command("migrate", database=alias, interactive=False, verbosity=0)


def deploy_contracts() -> str:
    out = io.StringIO()
    call_command("deploy_contracts", stdout=out)
    return out.getvalue().strip()
