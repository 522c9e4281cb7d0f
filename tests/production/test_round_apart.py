"""A round whose roles are separate processes, two of each with sockets, over PostgreSQL and Redis, with real secure aggregation."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import httpx
import numpy as np
import psycopg
import pytest_asyncio
import redis

from aggregation.wire.secret import Secret
from tests.apps.roles.world import World
from tests.production.site import ROLES, Site

KEYS_OF = {"collectives": "web", "market": "web", "distributor": "distributor", "aggregator": "aggregator"}


class WorldApart(World):
    """The collective and its wallets, with servers somewhere else."""

    def __init__(self, site: Site) -> None:
        self.site = site
        super().__init__()

    def sealing_key(self) -> bytes:
        keys = json.loads((self.site.folder / "keys" / "web" / "public.json").read_text())
        return bytes.fromhex(keys["aggregator-seal"])

    def key(self, role: str) -> Secret:
        return Secret(bytes.fromhex((self.site.folder / "keys" / KEYS_OF[role] / f"{role}.key").read_text()))

    def url(self, path: str) -> str:
        aggregator = path.startswith(("/internal/aggregator/", "/aggregator/", "/ws/round/"))
        return self.site.url("aggregator" if aggregator else "distributor") + path

    def socket(self, path: str) -> str:
        return self.url(path).replace("http:", "ws:", 1)


@pytest_asyncio.fixture
async def world(site: Site) -> AsyncIterator[WorldApart]:
    here = WorldApart(site)
    yield here
    for wallet in here.wallets:
        await wallet.stop()
    await here.client.aclose()


async def test_a_round_between_processes_ends_with_the_plain_sum_and_every_visit_owed(
    world: WorldApart,
) -> None:
    await world.enrol(24)
    await world.open_round(1, cohort=24)
    state = await world.over(1)
    assert state["state"] == "released", state
    assert state["receipts"] == state["survivors"] == 24
    total, count = await world.sum(1)
    assert count == 24
    assert np.array_equal(total, world.plain_sum(1, world.wallets))
    postgres = world.site.postgres
    with psycopg.connect(postgres.url("aggregator")) as aggregator:
        assert aggregator.execute("SELECT count(*) FROM aggregator_visit").fetchone() == (24,)
        assert aggregator.execute("SELECT count(*) FROM aggregator_maskedinput").fetchone() == (0,)
    shown = redis.from_url(world.site.redis.url()).keys("aggregator:cache:*:aggregator:hub:*")
    assert len(shown) == 2  # both processes of the aggregator serve sockets
    assert not [path for path in (world.site.folder / "spool").glob("*") if path.is_dir()]
    logs_name_nobody(world)


def logs_name_nobody(world: WorldApart) -> None:
    """Structured lines, and no key, ticket, token or address of anybody in any of them."""
    text = {path.name: path.read_text() for path in (world.site.folder / "logs").glob("*.log")}
    assert {"aggregator.log", "aggregator-worker.log", "distributor.log", "distributor-worker.log"} <= set(
        text
    )
    lines = [line for content in text.values() for line in content.splitlines() if line.startswith("{")]
    assert len(lines) > 4
    assert all({"event", "level", "timestamp"} <= set(json.loads(line)) for line in lines)
    secret = {wallet.public.hex() for wallet in world.wallets} | {
        wallet.job_public.hex() for wallet in world.wallets
    }
    secret |= {str(world.job_id), str(world.collective_id), "token=", "/aggregator/slots/"}
    everything = "\n".join(text.values())
    assert [word for word in secret if word in everything] == []
    assert not re.search(
        r"127\.0\.0\.1:\d{4,5}\b(?!/)", everything.replace(f"127.0.0.1:{world.site.redis.port}", "")
    )


async def test_the_metrics_count_and_name_nobody(site: Site) -> None:
    found = {role: httpx.get(f"{site.url(role)}/metrics", trust_env=False).text for role in ROLES}
    for text in found.values():
        assert "cssi_metrics_incomplete 0.0" in text
        assert not re.search(r"[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}|@", text)
    assert 'cssi_aggregator_rounds{step="released"}' in found["aggregator"]
    assert "cssi_distributor_wallets_connected" in found["distributor"]
    assert 'cssi_queue_length{queue="settlement"} 0.0' in found["web"]
    assert 'cssi_queue_length{queue="aggregator"}' in found["aggregator"]
    assert "cssi_chain_transactions" not in found["aggregator"] + found["distributor"] + found["issuer"]
