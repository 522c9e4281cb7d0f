"""How `make test` spreads tests over processes: what takes longest begins first, so that no process is left alone with it at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
LONGEST = """
    apps/roles/test_round.py
    apps/collectives/test_bad_requests.py
    unit/agent/test_round.py
    unit/agent/test_sandbox.py
    unit/host/test_on_real_servers.py
    contracts/test_invariants.py
    apps/pages/test_permissions.py
    apps/admin/test_every_page.py
    unit/tab/test_pages.py
    unit/tab/test_agent.py
    unit/tab/test_wallet.py
    unit/agent/test_hostile_server.py
    apps/settlement/test_money.py
    apps/settlement/test_sales.py
    apps/settlement/test_assets.py
    apps/pages/test_pages.py
    apps/roles/test_uploads.py
    apps/roles/test_sockets.py
    unit/agent/test_cli_keeping.py
    unit/agent/test_sandbox_refusal.py
    unit/tab/test_store.py
    apps/collectives/test_driving_failures.py
    apps/collectives/test_driving_abandoned.py
    contracts/test_gas.py
    unit/privacy/test_mechanism.py
    unit/secagg/test_exact.py
    unit/agent/test_cli.py
    unit/tab/test_same_answers.py
    unit/tab/test_mixed_rounds.py
    apps/issuer/test_unlinkable.py
    apps/individuals/test_moving.py
    apps/settlement/test_order_faults.py
    apps/settlement/test_faults.py
    apps/settlement/test_closing.py
    apps/roles/test_options.py
    apps/roles/test_tampering.py
    apps/api/test_schema.py
    apps/jobs/test_model_card.py
    simulation/test_private_payouts.py
    unit/deploy/test_deploy.py
    e2e/test_accessibility.py
    e2e/test_wallet_pages.py
    e2e/test_wallet_app.py
    e2e/test_issuer_desk.py
    e2e/test_market_stories.py
    e2e/test_stories.py
    e2e/test_live_page.py
    e2e/test_wallet_vault.py
""".split()
"""Files of more than some eight seconds; one that is missing here only begins later."""
_PLACE = {HERE / name: place for place, name in enumerate(LONGEST)}


def longest_first(items: list[pytest.Item]) -> None:
    """Files in that order; tests of one file stay together and keep their own order."""
    items.sort(key=lambda item: (_PLACE.get(item.path, len(_PLACE)), str(item.path)))


def shares(file: Path) -> bool:
    """Whether tests of this file share something that is made for all of them."""
    return 'scope="module"' in file.read_text(encoding="utf-8")


def scheduler(config: pytest.Config, log: Any) -> Any:
    """For few and long tests: each goes where there is room, but for those of a file that share something."""
    from xdist.scheduler import LoadScopeScheduling

    class Apart(LoadScopeScheduling):  # type: ignore[misc]  # xdist says nothing of its types
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return file if shares(config.rootpath / file) else nodeid

    return Apart(config, log)
