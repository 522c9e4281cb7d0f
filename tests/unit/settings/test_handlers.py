"""The handler that runs a request in one thread: what a browser, a slow sender and a lost connection get."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core import signals
from django.http import HttpResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path

from marketplace import handlers
from marketplace.handlers import InternalHandler, PageHandler

seen: dict[str, object] = {}


def name(request):
    return HttpResponse(threading.current_thread().name)


def echo(request):
    return HttpResponse(request.body)


def fails(request):
    raise RuntimeError("a bug")


def pieces(request):
    def more() -> Iterator[bytes]:
        for number in range(3):
            seen[f"piece {number}"] = threading.current_thread().name
            yield b"%d;" % number

    return StreamingHttpResponse(more())


def asynchronous(request):
    async def more():
        for number in range(3):
            yield b"%d," % number

    return StreamingHttpResponse(more())


urlpatterns = [
    path("name", name),
    path("echo", echo),
    path("fails", fails),
    path("pieces", pieces),
    path("asynchronous", asynchronous),
]


@pytest.fixture(autouse=True)
def site(settings):
    seen.clear()
    settings.MIDDLEWARE = []
    settings.ALLOWED_HOSTS = ["*"]
    with override_settings(ROOT_URLCONF=__name__):
        yield


def scope(place, method="GET", headers=()):
    return {
        "type": "http",
        "method": method,
        "path": f"/{place}",
        "query_string": b"",
        "headers": [(b"host", b"site.example"), *headers],
        "server": ("site.example", 80),
    }


async def start(place, handler=None, **rest):
    return ApplicationCommunicator(handler or PageHandler(), scope(place, **rest))


async def answer_of(exchange):
    opening = await exchange.receive_output(5)
    body = b""
    while True:
        part = await exchange.receive_output(5)
        body += part.get("body", b"")
        if not part.get("more_body"):
            break
    await exchange.wait(5)
    return opening["status"], body


async def ask(place, body=b"", **rest):
    exchange = await start(place, **rest)
    await exchange.send_input({"type": "http.request", "body": body})
    return await answer_of(exchange)


@pytest.mark.asyncio
@pytest.mark.parametrize(("kind", "pool"), [(PageHandler, b"request_"), (InternalHandler, b"internal_")])
async def test_a_view_runs_in_a_thread_of_its_pool(kind, pool):
    status, body = await ask("name", handler=kind())
    assert status == 200
    assert body.startswith(pool)


@pytest.mark.asyncio
async def test_the_end_of_a_request_is_told_in_the_thread_that_served_it():
    """Django closes old connections on that signal, and they belong to the thread."""
    told = []

    def listener(**_):
        told.append(threading.current_thread().name)

    signals.request_finished.connect(listener)
    try:
        _, body = await ask("name")
        await ask("pieces")
    finally:
        signals.request_finished.disconnect(listener)
    assert told[0] == body.decode()
    assert len(told) == 2
    assert told[1].startswith("request_")


@pytest.mark.asyncio
async def test_a_slow_sender_holds_no_thread():
    senders, handler = [], PageHandler()
    for _ in range(handlers.THREADS + 4):
        exchange = await start("echo", method="POST", handler=handler)
        await exchange.send_input({"type": "http.request", "body": b"half", "more_body": True})
        senders.append(exchange)
    assert (await ask("name", handler=handler))[0] == 200
    for exchange in senders:
        await exchange.send_input({"type": "http.request", "body": b" and half"})
    assert {await answer_of(exchange) for exchange in senders} == {(200, b"half and half")}


@pytest.mark.asyncio
async def test_a_sender_that_goes_away_ends_nothing_but_itself():
    exchange = await start("echo", method="POST")
    await exchange.send_input({"type": "http.request", "body": b"half", "more_body": True})
    await exchange.send_input({"type": "http.disconnect"})
    await exchange.wait(5)
    assert exchange.output_queue.empty()


@pytest.mark.asyncio
async def test_a_bug_in_a_view_is_a_500_and_the_next_request_is_served(settings):
    settings.DEBUG = False
    status, body = await ask("fails")
    assert status == 500
    assert b"a bug" not in body
    assert (await ask("echo", b"x", method="POST")) == (200, b"x")


@pytest.mark.asyncio
async def test_pieces_are_sent_as_they_come_and_made_in_threads():
    assert await ask("pieces") == (200, b"0;1;2;")
    assert all(str(where).startswith("request_") for where in seen.values())
    assert await ask("asynchronous") == (200, b"0,1,2,")


@pytest.mark.asyncio
async def test_what_is_no_request_is_refused():
    with pytest.raises(ValueError, match="websocket"):
        await PageHandler()({"type": "websocket"}, asyncio.Queue().get, None)


@pytest.mark.asyncio
async def test_a_body_too_large_is_refused_before_it_is_read():
    exchange = await start("echo", method="POST", headers=[(b"content-length", b"4194305")])
    assert (await answer_of(exchange))[0] == 413


@pytest.mark.asyncio
async def test_a_body_that_announces_nothing_is_cut_where_it_grows_too_large(monkeypatch):
    monkeypatch.setattr(PageHandler, "largest", 10)
    assert await ask("echo", b"0123456789", method="POST") == (200, b"0123456789")
    exchange = await start("echo", method="POST")
    await exchange.send_input({"type": "http.request", "body": b"01234", "more_body": True})
    await exchange.send_input({"type": "http.request", "body": b"567890", "more_body": True})
    status, body = await answer_of(exchange)
    assert status == 413
    assert b"too_large" in body
