"""One small stack for all tests of this folder that share it; started when the first of them asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stack.small import SmallStack


@pytest.fixture(scope="session")
def small_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallStack]:
    stack = SmallStack(tmp_path_factory.mktemp("stack"))
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
