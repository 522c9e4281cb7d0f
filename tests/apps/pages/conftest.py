from __future__ import annotations

import pytest

from tests.apps import cast


@pytest.fixture
def world(db: None) -> cast.World:
    return cast.world()
