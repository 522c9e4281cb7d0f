"""What must be in place before the parts can serve: tables in every database, contracts on the chain."""

from __future__ import annotations

import io
import os
import socket

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import DEFAULT_DB_ALIAS

from marketplace.db_router import alias_for, own_aliases


def migrate_all() -> None:
    """The market's database by every migration; another domain's by those of its own apps, which is all that could make a table there."""
    here = own_aliases()
    if DEFAULT_DB_ALIAS in here:
        call_command("migrate", database=DEFAULT_DB_ALIAS, interactive=False, verbosity=0)
    for app in apps.get_app_configs():
        alias = alias_for(app.label)
        if alias != DEFAULT_DB_ALIAS and alias in here:
            call_command("migrate", app.label, database=alias, interactive=False, verbosity=0)


def deploy_contracts() -> str:
    out = io.StringIO()
    call_command("deploy_contracts", stdout=out)
    return out.getvalue().strip()


def check_ports() -> None:
    """Before anything starts: a part that cannot listen would fail later, or talk to whoever sits there.

    Raises:
        RuntimeError: a port is taken; names the setting that chooses another.
    """
    wanted = {"CSSI_PORT": settings.PORT}
    if "CHAIN_RPC_URL" not in os.environ:
        wanted["CSSI_CHAIN_PORT"] = settings.CHAIN_PORT
    for name, port in wanted.items():
        with socket.socket() as probe:
            # As the parts do: connections that are only lingering do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                raise RuntimeError(
                    f"Port {port} is in use by another program. Stop that one, or choose another port with {name}."
                ) from error
