"""The embedded site without its chain, in a folder of its own: broker, one web process, one worker. Calls are signed as the collective's."""

from __future__ import annotations

import base64
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from marketplace.demo.isolation import free_port

PHASES = ("advertise", "share_keys", "masked_input", "consistency", "unmask")


def configure(folder: Path) -> None:
    """Point Django's settings at this folder and start Django. Once per process, before anything of Django is imported."""
    os.environ |= environment(folder)
    import django

    django.setup()


def environment(folder: Path) -> dict[str, str]:
    """What configures such a site. Ports are free ones."""
    return {
        "CSSI_VAR": str(folder),
        "CSSI_PORT": str(free_port()),
        "CSSI_CHAIN_PORT": str(free_port()),
        "CSSI_DEVELOPMENT_MINIMA": "True",
        "DJANGO_SETTINGS_MODULE": "marketplace.settings.local",
        # No chain is needed here, so none is started and nothing asks it.
        "CHAIN_RPC_URL": "http://127.0.0.1:9",
    }


class Site:
    """`with Site() as site`: up, and down again."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cssi-load-"))
        configure(self.folder)
        from django.conf import settings

        from marketplace.supervisor import parts
        from marketplace.supervisor.supervisor import Supervisor

        self.url = settings.SITE_URL
        started = parts.embedded()
        for part in started:
            part.ready_within = 900.0
        self._supervisor = Supervisor(
            started,
            lock_file=self.folder / "serve.lock",
            say=lambda line: print(line, file=sys.stderr),
        )

    def __enter__(self) -> Site:
        from marketplace.supervisor import prepare

        self._supervisor.take_lock()
        prepare.migrate_all()
        self._supervisor.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._supervisor.stop()

    @property
    def web(self) -> int:
        """The web process."""
        pid = self._supervisor.part("web").pid
        assert pid is not None
        return pid


class Job:
    """One collective's job with its subscribers, driven by the calls the collective domain makes."""

    def __init__(self) -> None:
        from collectives import clients

        self._distributor, self._aggregator = clients.distributor(), clients.aggregator()
        self.collective_id, self.id = uuid.uuid4(), uuid.uuid4()
        self.manifest, self.requirement = os.urandom(32), os.urandom(32)
        self._number = 0

    def subscribe(self, keys: list[str]) -> None:
        """As many rows as subscriptions; written directly, for what a subscription costs is measured elsewhere."""
        from wallets.distributor import config
        from wallets.distributor.models import Subscriber

        now = config.now()
        Subscriber.objects.bulk_create(
            [
                Subscriber(
                    collective_id=self.collective_id,
                    key=key,
                    terms_hash="00" * 32,
                    expires=now + 100_000,
                    created=now,
                )
                for key in keys
            ],
            batch_size=500,
        )

    def enrol(self, seconds: int) -> int:
        """Ask everybody, wait for the frozen log; how many are in it."""
        path = f"/jobs/{self.id}"
        made = self._distributor.call("PUT", path, {"collective_id": str(self.collective_id)})
        document = {
            "version": 1,
            "collective_id": str(self.collective_id),
            "job_id": str(self.id),
            "manifest_hash": self.manifest.hex(),
            "rate": str(5 * 10**15),
            "expires": int(time.time()) + 50_000,
            "cohort_commitment": made["cohort_commitment"],
        }
        envelope = {"kind": "job", "document": document, "key": "00" * 32, "signature": "00" * 64}
        self._distributor.call(
            "PUT", f"{path}/announcement", {"envelope": envelope, "enrol_seconds": seconds}
        )
        until(lambda: self._distributor.call("GET", path)["state"] == "frozen", seconds + 120, "the log")
        return int(self._distributor.call("GET", path)["enrolled"])

    def invite(self, cohort: int) -> float:
        """Open a round and invite so many; the moment the order went out (CLOCK_MONOTONIC)."""
        self._number += 1
        path = f"/jobs/{self.id}/rounds/{self._number}"
        opened = self._aggregator.call("PUT", path, self._parameters(cohort))
        order = self._order(cohort, base64.b64decode(opened["header"]))
        began = time.monotonic()
        self._distributor.call("PUT", path, order)
        return began

    def _parameters(self, cohort: int) -> dict[str, Any]:
        return {
            "manifest_hash": self.manifest.hex(),
            "checkpoint_hash": os.urandom(32).hex(),
            "requirement_hash": self.requirement.hex(),
            "d": 1000,
            "clip_micro": 1_000_000,
            "noise_micro": 0,
            "q": 16,
            "f": 8,
            "bucket_size": 50,
            "bucket_min": 38,
            "release_min": 100,
            "cohort": cohort,
            "development": False,
            "phase_seconds": dict.fromkeys(PHASES, 60),
        }

    def _order(self, cohort: int, header: bytes) -> dict[str, Any]:
        from aggregation.wire import cbor

        task = {
            "v": 1,
            "collective": self.collective_id.bytes,
            "job": self.id.bytes,
            "round": self._number,
            "header": header,
            "manifest": self.manifest,
            "requirement": self.requirement,
            "checkpoint": os.urandom(32),
            "rate": str(5 * 10**15),
            "expires": int(time.time()) + 600,
        }
        return {
            "task_body": base64.b64encode(cbor.encode(task)).decode(),
            "task_sig": base64.b64encode(bytes(64)).decode(),
            "payload": base64.b64encode(cbor.encode({"manifest": b"{}", "weights": bytes(4000)})).decode(),
            "cohort": cohort,
            "minimum": cohort,
            "over_selection_ppm": 1_000_000,
            "max_deliveries": cohort,
            "accept_seconds": 30,
        }

    def give_up(self) -> None:
        """End the round that was opened last, at the aggregator too."""
        self._aggregator.call("DELETE", f"/jobs/{self.id}/rounds/{self._number}")


def until(condition: Callable[[], Any], seconds: float, what: str) -> Any:
    """The first true answer.

    Raises:
        TimeoutError: it did not come true in time.
    """
    limit = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > limit:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        time.sleep(0.2)
    return answer
