"""One small stack for all tests of this folder that share it; started when the first of them asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stack.small import SmallStack


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Who shares the small stack shares a process, in the files' order: the last ones stop it.

    `--dist loadgroup` was to do this by a mark, but xdist 3.8 writes the group into an attribute that pytest 9 no longer reads:
    every test went its own way, and the stack was set up in each process. A file that names the fixture belongs to its group.
    """
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByStack(LoadScopeScheduling):  # type: ignore[misc]  # xdist says nothing of its types
        def _split_scope(self, nodeid: str) -> str:
            file = config.rootpath / nodeid.split("::", 1)[0]
            return "small stack" if _names_the_stack(file) else nodeid

    return ByStack(config, log)


def _names_the_stack(file: Path) -> bool:
    return file.is_file() and "small_stack" in file.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def small_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallStack]:
    stack = SmallStack(tmp_path_factory.mktemp("stack"))
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
