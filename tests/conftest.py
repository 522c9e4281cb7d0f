"""Rules for every test: no avoidable skip in CI, and no test touches a database it did not ask for."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from django.utils import translation
from hypothesis import HealthCheck, settings

from tests import spread

# How long an example takes says how busy the machine is; a test's own settings still apply.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")

NOT_POSSIBLE = "not possible here: "

# What is loaded for tests stays: the collector need not walk through it while it grows, nor again and again while tests run.
gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In the processes of a spread run: the order that `--no-loadscope-reorder` keeps."""
    if hasattr(config, "workerinput"):
        spread.longest_first(items)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Every class and function that was loaded is set aside for good, as in the servers (`marketplace/garbage.py`); what tests make is not."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With CSSI_NO_SKIPS set, a skipped test fails the run: what this machine could run must run.

    A test that says "not possible here: …" needs what CI does not install, and says what.
    """
    if os.environ.get("CSSI_NO_SKIPS") != "1" or exitstatus != 0:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    skipped = [report for report in reports if NOT_POSSIBLE not in str(report.longrepr)]
    if skipped:
        reporter.write_line(f"{len(skipped)} tests were skipped; CI allows none.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(autouse=True)
def _one_language() -> Iterator[None]:
    """A request in German leaves German behind in its thread; the next test begins without."""
    yield
    translation.deactivate()
