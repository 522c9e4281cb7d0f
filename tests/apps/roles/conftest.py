from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from celery import current_app

from tests.apps.roles.world import World


@pytest_asyncio.fixture
async def world(
    transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> AsyncIterator[World]:
    here = World()
    settings.ROOT_URLCONF = "tests.apps.roles.urls"
    settings.DISTRIBUTOR_URL = settings.AGGREGATOR_URL = here.http
    settings.AGGREGATOR_SPOOL_DIR = tmp_path / "spool"
    settings.DEVELOPMENT_MINIMA = True
    monkeypatch.setattr(current_app, "send_task", here.worker.send_task)
    await here.start_web()
    here.worker.start()
    yield here
    await here.stop()
