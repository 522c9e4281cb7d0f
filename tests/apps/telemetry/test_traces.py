"""Traces say what was done and how long it took, never for whom."""

from __future__ import annotations

import sys
import uuid
from typing import Any

import pytest
from django.conf import settings
from opentelemetry import trace

from aggregation.server.services import transitions
from marketplace import telemetry
from tests.apps.aggregator.conftest import Cast
from tests.apps.telemetry.recording import Recording

JOB = uuid.UUID("9f0e7c1e-1111-4222-8333-444455556666")


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch) -> Recording:
    return Recording(monkeypatch)


def test_without_a_collector_nothing_is_recorded() -> None:
    assert not telemetry._recording()
    with telemetry.span("settlement.sign", kind="push") as current:
        assert not current.is_recording()
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


async def test_without_a_collector_no_span_is_made_for_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(*_: Any, **__: Any) -> None:
        raise AssertionError("a span for nobody")

    monkeypatch.setattr(telemetry, "span", made)
    await ask("/ws/wallet/", kind="websocket")


def test_an_attribute_that_is_not_on_the_list_is_refused(recording: Recording) -> None:
    with pytest.raises(KeyError), telemetry.span("settlement.sign", address="0x1234"):
        raise AssertionError("not reached")


async def ask(path: str, status: int = 200, kind: str = "http", error: Exception | None = None) -> None:
    """One request to an application that answers like this."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if error is not None:
            raise error
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        assert message["type"].startswith("http.response")

    scope = {"type": kind, "method": "PUT", "path": path, "query_string": b"token=abc", "headers": []}
    await telemetry.Traced(app)(scope, receive, send)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        (f"/jobs/{JOB}/pause/", "/jobs/<uuid:job_id>/<job_verb:verb>/"),
        ("/aggregator/slots/1-1-" + "ab" * 20, "/aggregator/slots/<token>"),
        ("/wallets/payload/" + "cd" * 32, "/wallets/payload/<token>"),
        ("/healthz", "/healthz"),
        (f"/no/such/{JOB}/page", "unknown"),
    ],
)
async def test_a_request_is_told_by_its_pattern(recording: Recording, path: str, route: str) -> None:
    await ask(path, status=404)
    (found,) = recording.attributes("request")
    assert found == {
        "http.request.method": "PUT",
        "http.route": route,
        "http.response.status_code": 404,
    }
    recording.assert_nobody_is_named(str(JOB))


async def test_a_socket_is_told_by_its_door(recording: Recording) -> None:
    await ask(f"/ws/jobs/{JOB}/", kind="websocket")
    assert recording.attributes("socket")[0]["http.route"] == "/ws/jobs/"
    recording.assert_nobody_is_named(str(JOB))


async def test_of_an_error_only_its_type_is_told(recording: Recording) -> None:
    with pytest.raises(ValueError, match="carla"):
        await ask("/healthz", error=ValueError("carla@people.example has no wallet 0xabcdef12"))
    (found,) = recording.spans("request")
    assert found.attributes is not None
    assert found.attributes["error.type"] == "ValueError"
    assert found.status.status_code is trace.StatusCode.ERROR
    recording.assert_nobody_is_named("carla")


def test_a_task_is_told_by_its_name(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    from aggregation.server import tasks

    def broken() -> None:
        raise ValueError("carla@people.example is not at home")

    monkeypatch.setattr(tasks.seats, "adopt_orphans", broken)
    assert tasks.sweep.apply().state == "FAILURE"
    assert recording.attributes("task") == [{"cssi.kind": "aggregator.sweep", "error.type": "ValueError"}]
    recording.assert_nobody_is_named("carla")


@pytest.mark.django_db(databases=["aggregator"], transaction=True)
def test_a_phase_is_a_span_of_its_length(recording: Recording, cast: Cast, monkeypatch: Any) -> None:
    from aggregation.server import config
    from aggregation.server.models import Round
    from aggregation.server.services import opening
    from aggregation.server.states import Step

    clock = [config.now()]
    monkeypatch.setattr(config, "now", lambda: clock[0])
    cast.members(4)
    opening.open_round(job_id=cast.job_id, number=1, order=cast.order())
    row = Round.objects.get()
    for step in (Step.ADVERTISE, Step.ASSIGNING):
        clock[0] += 7
        transitions.move(row, step)
    transitions.abandon(round_id=row.pk, reason="Too few wallets proved their data.", detail="2 of 4")

    found = recording.spans("phase")
    told = [(dict(s.attributes or {})["cssi.phase"], dict(s.attributes or {})["cssi.next"]) for s in found]
    assert told == [("opened", "advertise"), ("advertise", "assigning"), ("assigning", "abandoned")]
    advertise = found[1]
    assert advertise.start_time is not None
    assert advertise.end_time is not None
    assert (advertise.end_time - advertise.start_time) == 7 * 10**9
    recording.assert_nobody_is_named(*cast.job_keys(), str(cast.job_id), "Too few")


def test_the_collector_is_asked_for_only_where_it_can_be(monkeypatch: Any, caplog: Any) -> None:
    """The endpoint is set, the exporter is not installed: said in the log, and the process starts all the same."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    telemetry._export()
    assert "opentelemetry-exporter-otlp-proto-http" in caplog.text
    assert settings.configured
