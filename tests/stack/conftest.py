"""One small stack for all tests of this folder that share it; started when the first of them asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stack.small import SmallStack


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in this hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Who shares the small stack shares a process, in the files' order: the last ones stop it."""
    for item in items:
        if "small_stack" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("small stack"))


@pytest.fixture(scope="session")
def small_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallStack]:
    stack = SmallStack(tmp_path_factory.mktemp("stack"))
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
