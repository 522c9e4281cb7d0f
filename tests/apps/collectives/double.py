"""A distributor and an aggregator that fail on request: one real loopback server that speaks interfaces.md, section 5.

It stands in for the two roles where a test needs them down, slow, forgetful or wrong. What they do when all is well is tested
against the roles themselves (`test_with_the_roles`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from django.conf import settings

from aggregation.wire import http

Answer = tuple[int, Any]


@dataclass
class Script:
    """How one round goes: who accepts, whose receipts are in, and what comes of it."""

    accepted: int = 11
    receipts: int = 10
    survivors: int = 10
    outcome: str = "released"
    reason: str = "Too few wallets finished."
    short: bool = False
    looks: int = 1
    """How often the aggregator still says `running`."""


@dataclass
class Roles:
    """The state of both, and what goes wrong."""

    d: int
    enrolled: int = 40
    down: set[str] = field(default_factory=set)
    swallow: list[tuple[str, str]] = field(default_factory=list)
    """(method, end of the path): handled, but the answer is lost; once each."""
    refuse: dict[tuple[str, str], Answer] = field(default_factory=dict)
    """(method, end of the path) -> an answer instead of handling."""
    slow: float = 0.0
    scripts: dict[int, Script] = field(default_factory=dict)
    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    distributed: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    opened: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    reached: set[tuple[str, int]] = field(default_factory=set)
    """Rounds whose wallets were asked, whatever the distributor forgets later."""
    notices: dict[str, int] = field(default_factory=dict)
    """By reference: to how many wallets it was delivered, where a test says so."""
    problems: list[str] = field(default_factory=list)
    """Whatever a real role would have refused; a test asserts that it is empty."""

    def made(self, method: str, end: str) -> list[dict[str, Any]]:
        return [body for m, path, body in self.calls if m == method and path.endswith(end)]

    def script(self, number: int) -> Script:
        return self.scripts.setdefault(number, Script())

    def values(self, number: int) -> np.ndarray[Any, Any]:
        """The sum of a round, int64 [d]: known to the test, different every round."""
        return (np.arange(self.d, dtype=np.int64) - self.d // 2 + number) * 1000

    def handle(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        role, parts = path.split("/")[2], path.split("/")[3:]
        if role == "distributor":
            if parts[0] == "collectives":
                return 200, {"addressed": 1, "delivered": self.notices.get(parts[-1], 0)}
            job = parts[1]
            return self._job(method, job, parts[2:], body)
        return self._aggregator(method, (parts[1], int(parts[3])), parts[4:], body)

    def _job(self, method: str, job: str, rest: list[str], body: dict[str, Any]) -> Answer:
        if rest[:1] == ["rounds"]:
            return self._distributed(method, (job, int(rest[1])), body)
        if method == "PUT" and not rest:
            self.jobs.setdefault(job, {"state": "created"})
            return 200, {"cohort_commitment": "11" * 32, "distributor_key": settings.DISTRIBUTOR_KEY}
        known = self.jobs.get(job)
        if known is None:
            return self._problem(404, "not_found")
        if rest == ["announcement"]:
            if known.setdefault("announcement", body) != body:
                return self._problem(409, "conflict")
            known["state"] = "enrolling"
        elif method == "DELETE":
            known["state"] = "ended"
        elif method == "GET":
            if known["state"] == "enrolling" and self.enrolled >= 0:
                known["state"] = "frozen"
            answer = {"state": known["state"], "subscribers": 40, "enrolled": self.enrolled}
            return 200, answer | {"log_root": "22" * 32, "log_size": self.enrolled}
        return 200, {}

    def _distributed(self, method: str, key: tuple[str, int], body: dict[str, Any]) -> Answer:
        if method == "PUT":
            self.reached.add(key)
            if self.distributed.setdefault(key, body) != body:
                return self._problem(409, "conflict")
            return 200, {}
        if key not in self.distributed:
            return 404, {"code": "not_found", "detail": "There is no such round."}
        script = self.script(key[1])
        state = "short" if script.short else "delivered"
        delivered = 0 if script.short else min(script.accepted, self.distributed[key]["max_deliveries"])
        return 200, {"state": state, "invited": 20, "accepted": script.accepted, "delivered": delivered}

    def _aggregator(self, method: str, key: tuple[str, int], rest: list[str], body: dict[str, Any]) -> Answer:
        known, script = self.opened.get(key), self.script(key[1])
        if method == "PUT":
            running = [k for k, r in self.opened.items() if k != key and r["state"] not in OVER]
            if running:
                return self._problem(409, "round_running")
            known = self.opened.setdefault(key, {"state": "running", "order": body, "looks": 0, "sum": True})
            if known["order"] != body:
                return self._problem(409, "conflict")
            header = json.dumps([*key, body["checkpoint_hash"]]).encode()
            return 200, {
                "header": base64.b64encode(header).decode(),
                "header_hash": hashlib.sha256(header).hexdigest(),
            }
        if known is None:
            return 404, {"code": "not_found", "detail": "There is no such round at the aggregator."}
        if method == "DELETE":
            if known["state"] == "running":
                known["state"] = "abandoned"
            return 200, {}
        if rest == ["sum"]:
            if not known["sum"] or known["state"] != "released":
                return 409, {"code": "no_sum", "detail": "The round has no sum to collect."}
            words = self.values(key[1]).astype("<i8").tobytes()
            return 200, {
                "sum": base64.b64encode(words).decode(),
                "count": script.survivors,
                "buckets_ok": 1,
            }
        if rest == ["collected"]:
            if known.setdefault("checkpoint", body["checkpoint_hash"]) != body["checkpoint_hash"]:
                return self._problem(409, "conflict")
            known["state"], known["sum"] = "posted", False
            return 200, {}
        return 200, self._state(key, known, script)

    def _state(self, key: tuple[str, int], known: dict[str, Any], script: Script) -> dict[str, Any]:
        if known["state"] == "running":
            known["looks"] += 1
            if known["looks"] > script.looks:
                known["state"] = script.outcome
        over = known["state"] in OVER
        receipts = script.receipts if key in self.reached else 0
        return {
            "state": known["state"],
            "phase": "" if over else "masked_input",
            "deadline": None if over else int(time.time()) + 30,
            "enough": True,
            "receipts": receipts if over else None,
            "joined": receipts if over else None,
            "survivors": script.survivors if over else None,
            "buckets": [{"members": receipts, "survivors": script.survivors, "ok": True}]
            if known["state"] == "released"
            else [],
            "reason": script.reason,
            "code": "x",
        }

    def _problem(self, status: int, code: str) -> Answer:
        self.problems.append(code)
        return status, {"code": code, "detail": f"Refused: {code}."}


OVER = ("released", "posted", "abandoned")


class _Handler(BaseHTTPRequestHandler):
    roles: Roles
    nonces: set[str]

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        role = self.path.split("/")[2]
        if role in self.roles.down:
            self.close_connection = True
            return
        time.sleep(self.roles.slow)
        seen = self.headers["Authorization"] in self.nonces
        self.nonces.add(self.headers["Authorization"])
        signed_by = http.verify_request(
            header=self.headers["Authorization"],
            method=self.command,
            path=self.path,
            body=body,
            now=int(time.time()),
            keys={name: bytes.fromhex(key) for name, key in settings.SERVICE_KEYS.items()},
            seen=lambda nonce: seen,
        )
        assert signed_by == "collectives"
        content = json.loads(body) if body else {}
        self.roles.calls.append((self.command, self.path, content))
        planned = [
            a for (m, end), a in self.roles.refuse.items() if m == self.command and self.path.endswith(end)
        ]
        status, answer = planned[0] if planned else self.roles.handle(self.command, self.path, content)
        for entry in self.roles.swallow:
            if entry[0] == self.command and self.path.endswith(entry[1]):
                self.roles.swallow.remove(entry)
                self.close_connection = True
                return
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_PUT = do_POST = do_DELETE = _serve

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        return


class Server:
    """The double on a port of its own."""

    def __init__(self, roles: Roles) -> None:
        handler = type("Handler", (_Handler,), {"roles": roles, "nonces": set()})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
