"""A whole round of a question that is answered once: the sum is right, and no wallet answers it a second time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aggregation.wire import cbor
from tests.unit.agent import documents
from tests.unit.agent.test_round import RECORDS, WALLETS, hosted
from tests.unit.agent.world import World
from wallets.agent.journal import Kind
from wallets.agent.sandbox.launcher import Launcher

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
        scene = await hosted(tmp_path / "host", world, Launcher(slots=2))

        done = await scene.round(1).run(payload=payload)

        assert np.array_equal(done.sum, scene.total(1)[0])
        expected = np.array([[r["height"] / 5 - 1, r["weight"] / 5 - 1, r["ill"]] for r in RECORDS]).mean(0)
        np.testing.assert_allclose(done.sum / 2**done.header.f / WALLETS, expected, atol=0.4)
        for name in scene.names:
            assert len(await scene.host.wallet(name).store.list("answered")) == 1

        with pytest.raises(TimeoutError):
            await scene.round(2).run(payload=payload, seconds=4)

        assert all("receipt" not in member.got for member in world.members.values())
        for name in scene.names:
            assert await scene.journal(name, Kind.REFUSED) == ["answered_once"]
        await scene.host.stop()
