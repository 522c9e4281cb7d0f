"""A whole round of a question that is answered once: the sum is right, and no wallet answers it a second time."""

from __future__ import annotations

import secrets
from pathlib import Path

import numpy as np
import pytest

from aggregation.wire import cbor
from tests.unit.agent import documents
from tests.unit.agent.test_round import WALLETS, Scene
from tests.unit.agent.world import World
from wallets.agent.consent import Rule
from wallets.agent.journal import Kind
from wallets.agent.messages import HolderPolicy
from wallets.agent.sandbox.launcher import Launcher
from wallets.host.host import Host
from wallets.host.spy import Spy

QUESTION = {
    "version": 1,
    "name": "Means",
    "purpose": "How tall, how heavy, how many ill",
    "inputs": ["height", "weight", "ill"],
    "width_in": 3,
    "output": {"kind": "mean", "clip_micro": 1_800_000},
}


async def test_a_question_is_answered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MANIFEST", QUESTION)
    payload = cbor.encode({"manifest": documents.manifest_bytes(QUESTION), "weights": bytes(12)})
    bounds = {"clip_micro": 1_800_000, "noise_micro": 110_000}
    monkeypatch.setattr(
        documents, "header", lambda *a, _made=documents.header, **k: _made(*a, **{**k, **bounds})
    )
    async with World(development=True, bucket_min=3, release_min=3) as world:
        host = Host(
            tmp_path / "host",
            now=documents.now,
            rng=secrets.token_bytes,
            server_document=world.description(),
            rule=Rule.HOST,
            policy=HolderPolicy(allow_development=True),
            launcher=Launcher(slots=2),
            spy=Spy(),
        )
        await host.start()
        records = [{"height": i + 0.5, "weight": 9.5 - i, "ill": i % 2 == 0} for i in range(WALLETS)]
        names = await host.create_wallets(records)
        assert (await host.subscribe(names, world.collective.id))["subscribed"] == WALLETS
        await world.until(lambda: sum(len(line.keys) for line in world.lines) == WALLETS)
        scene = Scene(world, host, names)
        await scene.enrol()

        done = await scene.round(1).run(payload=payload)

        assert np.array_equal(done.sum, scene.total(1)[0])
        expected = np.array([[r["height"] / 5 - 1, r["weight"] / 5 - 1, r["ill"]] for r in records]).mean(0)
        np.testing.assert_allclose(done.sum / 2**done.header.f / WALLETS, expected, atol=0.4)
        for name in names:
            assert len(await host.wallet(name).store.list("answered")) == 1

        with pytest.raises(TimeoutError):
            await scene.round(2).run(payload=payload, seconds=4)

        assert all("receipt" not in member.got for member in world.members.values())
        for name in names:
            assert await scene.journal(name, Kind.REFUSED) == ["answered_once"]
        await host.stop()
