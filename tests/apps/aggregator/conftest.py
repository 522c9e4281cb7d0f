"""Rows and services of the aggregator alone: the distributor and the collective are played by the test."""

from __future__ import annotations

import os
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.conf import settings as django_settings

from aggregation.secagg.messages import Enrolment, PayoutOpening
from aggregation.secagg.server import MemberLog
from aggregation.server import config, context
from aggregation.server.services import members, opening, payouts
from aggregation.wire import sealing, signing
from aggregation.wire.secret import Secret
from tests.apps.distributor.conftest import Caller, call  # noqa: F401

RATE = 5 * 10**15


def distributor_key() -> Secret:
    return Secret(bytes.fromhex(django_settings.DISTRIBUTOR_KEY_FILE.read_text()))


@dataclass
class Cast:
    """One job with its frozen log. `wallets`: subscription secret and job secret by log order."""

    collective_id: uuid.UUID = field(default_factory=uuid.uuid4)
    job_id: uuid.UUID = field(default_factory=uuid.uuid4)
    manifest: bytes = field(default_factory=lambda: os.urandom(32))
    requirement: bytes = field(default_factory=lambda: os.urandom(32))
    wallets: list[tuple[Secret, Secret]] = field(default_factory=list)
    enrolments: list[bytes] = field(default_factory=list)

    def members(self, count: int, **changed: Any) -> Any:
        self.wallets = [(signing.generate(os.urandom), signing.generate(os.urandom)) for _ in range(count)]
        made = [
            Enrolment.sign(
                subscription,
                job=self.job_id.bytes,
                collective=self.collective_id.bytes,
                manifest_hash=self.manifest,
                job_key=signing.public_key(job_key),
                expires=int(time.time()) + 5000,
            )
            for subscription, job_key in self.wallets
        ]
        self.enrolments = [message.to_bytes() for message in made]
        root = MemberLog(job=self.job_id.bytes, enrolments=made).root
        statement = {"job": self.job_id.bytes, "root": root, "size": count}
        values = {
            "job_id": self.job_id,
            "collective_id": self.collective_id,
            "rate": RATE,
            "manifest_hash": self.manifest.hex(),
            "enrolments": self.enrolments,
            "log_root": root.hex(),
            "signature": signing.sign(distributor_key(), b"cssi/v1/log", statement),
        }
        return members.put_members(**(values | changed))

    def order(self, **changed: Any) -> opening.RoundOrder:
        values = {
            "manifest_hash": self.manifest.hex(),
            "checkpoint_hash": "11" * 32,
            "requirement_hash": self.requirement.hex(),
            "d": 8,
            "clip_micro": 1_000_000,
            "noise_micro": 0,
            "q": 8,
            "f": 4,
            "bucket_size": 10,
            "bucket_min": 2,
            "release_min": 2,
            "cohort": 4,
            "development": True,
            "phase_seconds": dict.fromkeys(
                ("advertise", "share_keys", "masked_input", "consistency", "unmask"), 30
            ),
        }
        return opening.RoundOrder(**(values | changed))

    def job_keys(self) -> list[str]:
        return [signing.public_key(job_key).hex() for _, job_key in self.wallets]

    def open_payout(self, number: int, address: bytes) -> int:
        (outcome,) = payouts.store([self.sealed_payout(number, address)])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def sealed_payout(self, number: int, address: bytes) -> bytes:
        message = PayoutOpening.sign(
            self.wallets[number][0], address=address, salt=bytes(32), agreement_hash=bytes(32)
        )
        return sealing.seal(config.sealing_public_key(), payouts.LABEL, message.to_bytes(), os.urandom)


@pytest.fixture
def cast(settings: Any, tmp_path: Any) -> Cast:
    context.forget()
    settings.DEVELOPMENT_MINIMA = True
    settings.AGGREGATOR_SPOOL_DIR = tmp_path / "spool"
    return Cast()
