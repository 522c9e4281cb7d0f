"""Every test of this folder needs the plugin that starts the servers, and one site is shared by those that start its processes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from marketplace.trust import TrustDomain
from tests.production import REPOSITORY, plugin
from tests.production.site import ROLES, Site

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if HERE in item.path.parents]
    for item in here:
        item.add_marker(pytest.mark.production)
    plugin.skip_without_servers(here)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Who shares the site shares a process: it and its servers are started once. Files that do not run beside it, in another one."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class BySite(LoadScopeScheduling):  # type: ignore[misc]  # xdist says nothing of its types
        def _split_scope(self, nodeid: str) -> str:
            file = config.rootpath / nodeid.split("::", 1)[0]
            return "site" if "site: Site" in file.read_text(encoding="utf-8") else "no site"

    return BySite(config, log)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Four role processes with the tables made, and workers for the two roles of a round."""
    here = Site(tmp_path_factory.mktemp("site"), plugin.postgres, plugin.redis)
    with ThreadPoolExecutor(3) as pool:
        made = [pool.submit(here.manage, role, "migrate_domains") for role in ROLES]
        made.append(pool.submit(here.collect_static))
        for each in made:
            each.result()
    try:
        here.start(workers=("distributor", "aggregator"), settings="tests.production.small")
        yield here
    finally:
        here.stop()


@pytest.fixture
def script() -> Path:
    return REPOSITORY / "deploy" / "postgres" / "domain.sh"


DOMAINS = tuple(domain.value for domain in TrustDomain)
