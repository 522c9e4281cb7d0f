"""Bad input at every door of a running stack: a named refusal, no failure in any log, and not one row more or less."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from aggregation.wire import cbor, sealing, signing
from tests.stack import line
from tests.stack.small import Browser, SmallStack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(280)]
QUIET = ("sessions.Session", "settlement.Reconciliation", "distributor.Presence")
"""Tables that move by themselves: who is signed in, the periodic comparison, who is connected."""

GARBAGE = {
    "nothing": b"",
    "a zero": b"\x00",
    "a break without a beginning": b"\xff" * 10,
    "a list": cbor.encode([1]),
    "no type": cbor.encode({"a": 1}),
    "an unknown type": cbor.encode({"t": "x"}),
    "a type that is a number": cbor.encode({"t": 1}),
    "not the shortest form": b"\xa1\x61t\x18\x01",
    "a float": b"\xa1\x61t\xf9\x00\x00",
    "an endless map": b"\xbf\x61t\x61x\xff",
    "deep": b"\x81" * 40 + b"\x00",
    "a length beyond the frame": b"\x5a\xff\xff\xff\xff",
    "more behind": cbor.encode({"t": "x"}) + b"\x00",
}
HELLO: dict[str, dict[str, Any]] = {
    "hello without keys": {"t": "hello", "version": 1},
    "hello with words": {"t": "hello", "version": "one", "keys": "all"},
    "hello with an empty list": {"t": "hello", "version": 1, "keys": []},
    "hello with a short key": {"t": "hello", "version": 1, "keys": [["mailbox", b"x", b"y"]]},
    "hello with an unknown kind": {"t": "hello", "version": 1, "keys": [["root", bytes(32), bytes(64)]]},
    "hello by a key of zeros": {"t": "hello", "version": 1, "keys": [["mailbox", bytes(32), bytes(64)]]},
    "an answer before hello": {"t": "accept", "id": bytes(16)},
    "an answer of words": {"t": "ack", "id": "one", "outcome": {}},
}


@pytest.fixture
def unchanged(small_stack: SmallStack) -> Iterator[None]:
    """Row counts of every table and tracebacks in every log, before and after."""
    rows, failures = _rows(small_stack), _tracebacks(small_stack)
    yield
    assert _rows(small_stack) == rows
    assert _tracebacks(small_stack) == failures


def _rows(small_stack: SmallStack) -> dict[str, int]:
    return {name: count for name, count in small_stack.inside.rows().items() if name not in QUIET}


def _tracebacks(small_stack: SmallStack) -> int:
    logs = (small_stack.folder / "logs").glob("*.log")
    return sum(log.read_bytes().count(b"Traceback") for log in logs)


def say(small_stack: SmallStack, path: str, frame: bytes | str) -> dict[str, Any]:
    """The server's answer to one frame after its challenge, and that it then hangs up."""
    with connect(small_stack.url.replace("http", "ws") + path, proxy=None) as socket:
        challenge = cbor.decode(socket.recv(timeout=10))
        assert challenge["t"] == "challenge"
        socket.send(frame)
        answer = dict(cbor.decode(socket.recv(timeout=10)))
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=10)
    return answer


@pytest.mark.parametrize("path", ["/ws/wallet/", "/ws/round/"])
def test_frames_that_cannot_be(small_stack: SmallStack, unchanged: None, path: str) -> None:
    for name, frame in GARBAGE.items():
        answer = say(small_stack, path, frame)
        assert answer["t"] == "error", name
        assert answer["code"] in ("bad_frame", "not_sealed"), name
        assert answer["text"].endswith("."), name
    answer = say(small_stack, path, "text, not bytes")
    assert answer["t"] == "error"


def test_a_wallet_that_cannot_prove_itself(small_stack: SmallStack, unchanged: None) -> None:
    for name, message in HELLO.items():
        answer = say(small_stack, "/ws/wallet/", cbor.encode(message))
        assert answer["t"] == "error", name
        assert answer["text"].endswith("."), name


def test_an_answer_to_an_older_challenge(small_stack: SmallStack, unchanged: None) -> None:
    """Signed rightly, but over a challenge of another socket."""
    secret = signing.generate(os.urandom)
    url = small_stack.url.replace("http", "ws") + "/ws/wallet/"
    with connect(url, proxy=None) as first:
        old = cbor.decode(first.recv(timeout=10))
    body = {"nonce": old["nonce"], "time": old["time"], "server": old["key"]}
    proof = signing.sign(secret, b"cssi/v1/hello", body)
    hello = {"t": "hello", "version": 1, "keys": [["mailbox", signing.public_key(secret), proof]]}
    assert say(small_stack, "/ws/wallet/", cbor.encode(hello))["code"] == "bad_signature"


def test_sealed_frames_that_cannot_be(small_stack: SmallStack, unchanged: None) -> None:
    key = sealing.public_key(line.sealing_key(small_stack.folder))
    stranger = sealing.public_key(sealing.generate(os.urandom))
    cases = {
        "cannot_unseal": sealing.seal(stranger, line.SOCKET, cbor.encode({"t": "join"}), os.urandom),
        "bad_frame": sealing.seal(key, line.SOCKET, b"\xff", os.urandom),
        "out_of_order": sealing.seal(key, line.SOCKET, cbor.encode({"t": "receipt", "m": b""}), os.urandom),
    }
    for code, sealed in cases.items():
        assert say(small_stack, "/ws/round/", cbor.encode({"t": "sealed", "b": sealed}))["code"] == code
    join = {"t": "join", "job": bytes(16), "round": 1, "job_key": bytes(32), "sig": bytes(64)}
    sealed = sealing.seal(key, line.SOCKET, cbor.encode(join), os.urandom)
    answer = say(small_stack, "/ws/round/", cbor.encode({"t": "sealed", "b": sealed}))
    assert answer["code"] in ("bad_signature", "bad_frame")


REQUESTS: list[tuple[str, str, bytes, set[int]]] = [
    ("PUT", "/aggregator/slots/1-1-" + "0" * 40, b"x", {404}),
    ("PUT", "/aggregator/slots/", b"x", {404}),
    ("PUT", "/aggregator/slots/%00%ff", b"x", {404}),
    ("GET", "/aggregator/slots/1-1-" + "0" * 40, b"", {404, 405}),
    ("PUT", "/aggregator/payout-openings", b"junk", {400}),
    ("PUT", "/aggregator/payout-openings", b"", {400, 411}),
    ("PUT", "/aggregator/payout-openings", bytes(5000), {413}),
    ("GET", f"/wallets/payload/{'0' * 64}?token=x", b"", {404}),
    ("GET", "/wallets/payload/..%2f..%2fkeys", b"", {404}),
    ("GET", "/internal/aggregator/totals", b"", {401, 403}),
    ("POST", "/internal/aggregator/epochs", b"{}", {401, 403}),
    ("PUT", f"/internal/distributor/mailboxes/{'0' * 64}", b"{}", {401, 403}),
    ("DELETE", "/internal/distributor/jobs/00000000-0000-0000-0000-000000000001", b"", {401, 403}),
    ("GET", "/internal/nobody/at-home", b"", {401, 403, 404}),
    ("POST", "/api/v1/wallets/pair", b"{", {400}),
    ("POST", "/api/v1/wallets/pair", b"[]", {400}),
    ("POST", "/api/v1/wallets/links", b'{"state": "\xff"}', {400}),
    ("POST", "/api/v1/jobs", b"{}", {401, 403}),
    ("GET", "/api/v1/payouts/0xnobody", b"", {400, 404}),
    ("GET", "/no/such/page", b"", {404}),
]


@pytest.mark.parametrize(("method", "path", "body", "status"), REQUESTS)
def test_requests_that_cannot_be(
    small_stack: SmallStack, unchanged: None, method: str, path: str, body: bytes, status: set[int]
) -> None:
    answer = httpx.request(
        method,
        small_stack.url + path,
        content=body,
        headers={"Content-Type": "application/json"},
        trust_env=False,
    )
    assert answer.status_code in status, answer.text[:500]
    assert "Traceback" not in answer.text


def test_a_second_offer_or_a_second_subscription_is_not_made(
    small_stack: SmallStack, unchanged: None
) -> None:
    """On the web a person is led to what exists; a wallet refuses by name."""
    browser = Browser(small_stack.url, small_stack.people[2])
    answer = browser.post(f"/wallet/subscribe/{small_stack.collective}/")
    assert f"/wallet/subscriptions/{small_stack.link(2)['id']}/" in str(answer.url)
    again = small_stack.hosts.all[0].call(
        "subscribe", wallets=[small_stack.hosts.of(2)[1]], collective=small_stack.collective
    )
    assert (again["subscribed"], sum(again["refused"].values())) == (0, 1), again
    assert small_stack.permits(2) == [small_stack.collective]


def test_a_budget_that_cannot_pay_one_round(small_stack: SmallStack, unchanged: None) -> None:
    body = {"collective_id": small_stack.collective, "manifest_hash": small_stack.manifest_hash}
    answer = small_stack.carla.api("jobs", body | {"budget": "1", "max_rounds": 1})
    assert answer.status_code == 400
    assert "one round visits at least 5 wallets at 0.005 each" in answer.json()["detail"]
