"""The door for other services: who may call what, and that nothing is taken twice or unsigned."""

from __future__ import annotations

import time
import uuid

import pytest

from wallets.distributor.models import Mailbox

pytestmark = pytest.mark.django_db(databases=["distributor"])
KEY = "ab" * 32
BASE = "/internal/distributor"


def test_mail_waits_until_it_is_acknowledged_or_expires(call):
    assert call("market", "PUT", f"{BASE}/mailboxes/{KEY}", {}) == (200, {})
    body = {"ref": "r1", "kind": "offer", "body": "{}", "expires": int(time.time()) + 60}
    for _ in range(2):
        status, answer = call("market", "POST", f"{BASE}/mailboxes/{KEY}/messages", body)
        assert (status, answer) == (200, {"ref": "r1", "state": "waiting"})
    assert call("market", "GET", f"{BASE}/mailboxes/{KEY}/messages/r1")[1]["state"] == "waiting"
    assert call("market", "POST", f"{BASE}/mailboxes/{KEY}/messages", body | {"body": "{1}"})[0] == 409
    assert call("market", "GET", f"{BASE}/mailboxes/{KEY}")[1] == {"connected": False, "last_seen": None}
    assert call("market", "DELETE", f"{BASE}/mailboxes/{KEY}") == (200, {})
    assert call("market", "GET", f"{BASE}/mailboxes/{KEY}")[0] == 404


@pytest.mark.parametrize("role", ["collectives", "aggregator", "distributor"])
def test_another_role_is_refused(call, role):
    status, answer = call(role, "PUT", f"{BASE}/mailboxes/{KEY}", {})
    assert (status, answer["code"]) == (403, "forbidden")
    assert not Mailbox.objects.exists()


def test_an_unsigned_old_changed_or_repeated_request_is_refused(call):
    path = f"{BASE}/mailboxes/{KEY}"
    assert call("market", "PUT", path, {}, header="nothing")[0] == 401
    assert call("market", "PUT", path, {}, skew=-100)[0] == 401
    assert call("market", "PUT", path, {}, sent=b'{"a":1}')[0] == 401
    answer = call.client.generic("PUT", path, b"", headers={"Authorization": "CSSI"})
    assert answer.json()["code"] == "not_authorised"
    assert not Mailbox.objects.exists()


def test_a_request_is_taken_once(call, monkeypatch):
    from aggregation.wire import http

    kept = []
    original = http.sign_request
    monkeypatch.setattr(http, "sign_request", lambda **values: kept.append(original(**values)) or kept[0])
    path = f"{BASE}/mailboxes/{KEY}"
    assert call("market", "PUT", path, {})[0] == 200
    status, answer = call("market", "PUT", path, {}, header=kept[0])
    assert (status, answer["code"]) == (401, "not_authorised")


NOBODYS = uuid.UUID(int=7)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"mailboxes/{'zz' * 32}", {}),
        (f"mailboxes/{KEY[:-2]}", {}),
        (f"collectives/{NOBODYS}/subscribers/{KEY}", {"terms_hash": KEY}),
        (f"collectives/{NOBODYS}/subscribers/{KEY}", {"terms_hash": 7, "expires": 9}),
        (f"jobs/{NOBODYS}", {"collective_id": "x"}),
        (f"jobs/{NOBODYS}/announcement", {"envelope": [], "enrol_seconds": 4}),
        (f"jobs/{NOBODYS}/rounds/1", {"task_body": "?"}),
    ],
)
def test_malformed_bodies_get_a_sentence(call, path, body):
    role = "market" if path.startswith("mail") else "collectives"
    status, answer = call(role, "PUT", f"{BASE}/{path}", body)
    assert (status, answer["code"]) == (400, "malformed")
    assert answer["detail"].endswith(".")


def test_a_body_that_is_not_json_is_refused(call):
    from aggregation.wire import http  # noqa: F401

    status, answer = call("market", "PUT", f"{BASE}/mailboxes/{KEY}", [1])
    assert (status, answer["code"]) == (400, "malformed")
    assert call("market", "PATCH", f"{BASE}/mailboxes/{KEY}", {})[0] == 405
