"""The documentation's notebook, from its first cell to its last, over the real API; only the wallets' work is done for it here.

With real wallets it runs in tests/stack/test_residents.py.
"""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from django.core.wsgi import get_wsgi_application
from django.utils import timezone

from collectives.models import Checkpoint, Job, Round
from collectives.training.checkpoint import checkpoint_hash
from marketplace.accounts import tokens
from marketplace.client import http
from marketplace.jobs import services
from marketplace.jobs.models import Metric, Order
from tests.apps.cast import World

NOTEBOOK = Path(__file__).parents[3] / "docs" / "examples" / "first_order.py"


def learned(order: Order, actor: Any) -> None:
    """What a funded job's wallets would have done: one round that is in the model."""
    job = Job.objects.get(pk=order.job_id)
    weights = np.full(job.algorithm.parameters, 0.5, dtype="<f4").tobytes()
    digest = checkpoint_hash(bytes.fromhex(job.algorithm.manifest_hash), 1, weights).hex()
    Round.objects.create(
        job=job, number=1, status="posted", joined=104, survivors=103, receipts=104, ended_at=timezone.now()
    )
    Checkpoint.objects.create(job=job, number=1, weights=weights, moments=b"", hash=digest, wallets=103)
    Job.objects.filter(pk=job.pk).update(status="completed", visits_earned=104)


def test_the_notebook_runs_from_top_to_bottom(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Inside(httpx.Client):
        """As the client's own, but to the site in this process."""

        def __init__(self, **options: Any) -> None:
            super().__init__(**options | {"transport": httpx.WSGITransport(app=get_wsgi_application())})

    monkeypatch.setattr(http.httpx, "Client", Inside)
    monkeypatch.setattr(services, "fund", learned)
    monkeypatch.setenv("CSSI_MARKET", "http://testserver")
    monkeypatch.setenv("CSSI_TOKEN", tokens.make(account=world.people["carla"], label="notebook")[1])
    seen = runpy.run_path(str(NOTEBOOK))
    said = capsys.readouterr().out
    assert seen["checkpoints"][-1].wallets == 103
    assert (seen["weights"] == 0.5).all()
    assert "200 visits cost 1 OCEAN" in said
    assert f"“{world.algorithm.name}” after round 1, from 103 wallets" in said
    assert "1 rounds, 104 visits paid" in said
    job = seen["job"].id
    assert Metric.objects.get(order__job_id=job).name == "mean absolute weight"
