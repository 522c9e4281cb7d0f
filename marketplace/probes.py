"""What an orchestrator asks a process: does it live, and may it be sent work? The answers name parts, never a person or an error's text."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

from django.conf import settings
from django.core.cache import cache
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from marketplace.db_router import alias_for, own_aliases

_migrated: set[str] = set()
"""Aliases found up to date; a process never goes back to fewer tables."""


def health(request: HttpRequest) -> JsonResponse:
    """Liveness: this process answers."""
    return JsonResponse({"ok": True, "roles": list(settings.ROLES)})


def ready(request: HttpRequest) -> JsonResponse:
    """Readiness: databases of the roles held answer and have their tables, and so does what carries wake-ups. 503 otherwise."""
    parts = {name: _holds(check) for name, check in _checks()}
    fine = all(parts.values())
    return JsonResponse({"ok": fine, "parts": parts}, status=200 if fine else 503)


def _checks() -> Iterator[tuple[str, Callable[[], bool]]]:
    for alias in own_aliases():
        yield f"database:{alias}", lambda alias=alias: _answers(alias)
        yield f"tables:{alias}", lambda alias=alias: _has_tables(alias)
    yield "cache", _cache_answers


def _holds(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except Exception:  # whatever it is: not ready
        return False


def _answers(alias: str) -> bool:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT 1")
        return bool(cursor.fetchone())


def _has_tables(alias: str) -> bool:
    if alias not in _migrated:
        executor = MigrationExecutor(connections[alias])
        own = [node for node in executor.loader.graph.leaf_nodes() if alias_for(node[0]) == alias]
        if executor.migration_plan(own):
            return False
        _migrated.add(alias)
    return True


def _cache_answers() -> bool:
    name = f"probe:{uuid.uuid4().hex}"
    cache.set(name, 1, 5)
    return cache.get(name) == 1
