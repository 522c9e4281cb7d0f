"""A small cast for the distributor: one collective, subscribers with their keys, a frozen job."""

from __future__ import annotations

import json
import os
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.test import Client

from aggregation.secagg.messages import Enrolment as EnrolmentMessage
from aggregation.secagg.messages import Header, PhaseSeconds
from aggregation.wire import cbor, http, signing
from aggregation.wire.secret import Secret
from wallets.distributor import clients, config
from wallets.distributor.models import Enrolment, Job
from wallets.distributor.selectors import Waiting
from wallets.distributor.services import answers, jobs, presence, rounds, routes
from wallets.distributor.services.answers import Answer, Verb


def said(item: Waiting) -> dict[str, Any]:
    """What the frame says that waits for a wallet."""
    return dict(cbor.decode(item.data))


@dataclass
class Caller:
    """Calls the service HTTP as a role."""

    client: Client
    settings: Any

    def __call__(self, role: str, method: str, path: str, body: Any = None, **change: Any) -> tuple[int, Any]:
        raw = b"" if body is None else json.dumps(body).encode()
        key = Secret(bytes.fromhex(getattr(self.settings, f"{role.upper()}_KEY_FILE").read_text()))
        header = change.get("header") or http.sign_request(
            role=role,
            private=key,
            method=method,
            path=path,
            body=raw,
            now=int(time.time()) + change.get("skew", 0),
            nonce=os.urandom(16),
        )
        sent = change.get("sent", raw)
        answer = self.client.generic(method, path, sent, headers={"Authorization": header})
        return answer.status_code, answer.json()


@pytest.fixture
def call(client: Client, settings: Any) -> Caller:
    settings.ROOT_URLCONF = "tests.apps.roles.urls"
    return Caller(client, settings)


@dataclass
class Cast:
    """A collective with subscribers; `told` collects what the aggregator was told."""

    collective_id: uuid.UUID = field(default_factory=uuid.uuid4)
    job_id: uuid.UUID = field(default_factory=uuid.uuid4)
    manifest: bytes = field(default_factory=lambda: os.urandom(32))
    subscriptions: list[Secret] = field(default_factory=list)
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def subscribe(self, count: int) -> list[str]:
        fresh = [signing.generate(os.urandom) for _ in range(count)]
        self.subscriptions += fresh
        keys = [signing.public_key(secret).hex() for secret in fresh]
        self.add(self.collective_id, *keys)
        presence.note(dict.fromkeys(keys, True))
        return keys

    def add(self, collective_id: uuid.UUID, *keys: str) -> None:
        expires = config.now() + 9999
        newcomers = [routes.Newcomer(key=key, terms_hash="ab" * 32, expires=expires) for key in keys]
        routes.add_subscribers(collective_id=collective_id, newcomers=newcomers)

    def announce(self, *, seconds: int = 60) -> Job:
        job = jobs.create(job_id=self.job_id, collective_id=self.collective_id)
        document = {
            "collective_id": str(self.collective_id),
            "job_id": str(self.job_id),
            "manifest_hash": self.manifest.hex(),
            "rate": "5000000000000000",
            "expires": config.now() + 5000,
            "cohort_commitment": job.cohort_commitment,
        }
        return jobs.announce(job_id=self.job_id, envelope={"document": document}, enrol_seconds=seconds)

    def enrolment(self, secret: Secret, **changed: Any) -> bytes:
        values = {
            "job": self.job_id.bytes,
            "collective": self.collective_id.bytes,
            "manifest_hash": self.manifest,
            "job_key": signing.public_key(signing.generate(os.urandom)),
            "expires": Job.objects.get(id=self.job_id).expires,
        }
        return EnrolmentMessage.sign(secret, **(values | changed)).to_bytes()

    def answer(self, secret: Secret, verb: Verb, ident: bytes, body: bytes = b"") -> Exception | None:
        keys = frozenset({signing.public_key(secret).hex()})
        return answers.record([Answer(verb=verb, ident=ident, keys=keys, body=body)])[0]

    def enrol(self, secret: Secret, **changed: Any) -> Exception | None:
        row = Enrolment.objects.get(job_id=self.job_id, subscription_key=signing.public_key(secret).hex())
        return self.answer(secret, Verb.ENROL, bytes(row.ident), self.enrolment(secret, **changed))

    def frozen_job(self, members: int) -> Job:
        self.subscribe(members)
        self.announce()
        for secret in self.subscriptions:
            assert self.enrol(secret) is None
        jobs.step(self.job_id)
        return Job.objects.get(id=self.job_id)

    def order(self, number: int, *, cohort: int, **changed: Any) -> rounds.RoundOrder:
        job = Job.objects.get(id=self.job_id)
        header = Header(
            job=job.id.bytes,
            round=number,
            manifest_hash=self.manifest,
            checkpoint_hash=bytes(32),
            d=4,
            q=8,
            f=4,
            clip_micro=1,
            noise_micro=0,
            bucket_size=10,
            bucket_min=2,
            release_min=2,
            threshold_ppm=760_000,
            log_root=bytes.fromhex(job.log_root),
            log_size=job.log_size,
            distributor_key=config.public_key(),
            deadlines=PhaseSeconds(advertise=5, share_keys=5, masked_input=5, consistency=5, unmask=5),
            development=True,
        )
        task = {"header": header.to_bytes(), "manifest": self.manifest, "expires": config.now() + 600}
        values = {
            "number": number,
            "task_body": cbor.encode(task),
            "task_signature": bytes(64),
            "payload": b"model",
            "cohort": cohort,
            "minimum": 2,
            "over_selection_ppm": 1_000_000,
            "max_deliveries": cohort,
            "accept_seconds": 60,
        }
        return rounds.RoundOrder(**(values | changed))


@pytest.fixture
def cast(monkeypatch: pytest.MonkeyPatch) -> Cast:
    """The aggregator is another role: here its two calls are only noted."""
    here = Cast()
    monkeypatch.setattr(clients, "put_members", lambda job, body: here.told.append(("members", body)))
    monkeypatch.setattr(clients, "put_cohort", lambda job, number, body: here.told.append(("cohort", body)))
    return here
