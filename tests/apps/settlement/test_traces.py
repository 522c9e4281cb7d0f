"""The steps of an epoch as spans: which kind of transaction, which step, never whose."""

from __future__ import annotations

import pytest

from marketplace.settlement.models import ChainTransaction
from tests.apps.settlement.conftest import TOKEN, Ledger, OpenJob
from tests.apps.settlement.test_money import finish
from tests.apps.telemetry.recording import Recording

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "distributor", "aggregator"])


def test_every_step_of_a_settlement_is_a_span_and_names_nobody(
    open_job: OpenJob, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = open_job(2 * TOKEN)
    ledger.visit(job, range(1, 121))
    recording = Recording(monkeypatch)
    finish(job)
    for step in ("sign", "send", "look", "confirm"):
        kinds = {found["cssi.kind"] for found in recording.attributes(f"settlement.{step}")}
        assert {"settle", "fund", "push", "close"} <= kinds, step
    assert recording.spans("settlement.epoch")
    hashes = ChainTransaction.objects.exclude(hash="").values_list("hash", flat=True)
    recording.assert_nobody_is_named(str(job), job.hex, *hashes)
