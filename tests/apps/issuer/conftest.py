"""A desk, a requirement, and the wallet's side of collecting, written from docs/protocol/credentials.md."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from aggregation.wire import signing
from attestation.desk import sealing, services
from attestation.desk.models import Credential, Issuer
from marketplace.demo.job_performance import requirement as seed_requirement

VALUES = {"manager_evaluation": 8, "peer_review": 7}


class Collector:
    """A wallet that collects."""

    def __init__(self) -> None:
        self.private = signing.generate(os.urandom)
        self.key = signing.public_key(self.private)

    def call(self, code: str, label: bytes = b"cssi/v1/credential", **changes: Any) -> dict[str, Any]:
        created = int(changes.pop("created", time.time()))
        said = {"code": code, "key": self.key, "created": created}
        signature = signing.sign(self.private, label, said).hex()
        return {
            "code": code,
            "holder_key": self.key.hex(),
            "created": created,
            "signature": signature,
        } | changes


@pytest.fixture
def desk(db: None) -> Issuer:
    return services.open_desk(account="somebody", name="Acme HR")


@pytest.fixture
def offer(desk: Issuer) -> Credential:
    return services.attest(
        issuer=desk, label="no. 17", requirement=seed_requirement(), values=VALUES, days=365
    )


@pytest.fixture
def code(offer: Credential) -> str:
    return sealing.code_for(offer.pk.bytes)
