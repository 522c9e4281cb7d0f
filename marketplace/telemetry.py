"""Traces for whoever runs a collector: requests, tasks, phases of rounds and jobs, steps of settlement (OpenTelemetry).

Only the API is a dependency, and it does nothing. Where the SDK and its OTLP exporter are installed and `OTEL_EXPORTER_OTLP_ENDPOINT` is
set, spans go there (docs/operations.md, "Traces"). A span says what was done, how long it took and how it ended, in words of a fixed
list: never a path with its values, an identifier of a person, wallet, job or transaction, or an error's text, which may hold any of these.
Other instrumentations are not used because they do not keep to that.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from celery import signals
from django.apps import apps
from django.db.models.signals import post_save
from django.urls import Resolver404, resolve
from opentelemetry import context, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

logger = logging.getLogger(__name__)
tracer = trace.get_tracer("compute-to-ssi")

ATTRIBUTES = {
    "method": "http.request.method",
    "route": "http.route",
    "status": "http.response.status_code",
    "error": "error.type",
    "machine": "cssi.machine",
    "phase": "cssi.phase",
    "next": "cssi.next",
    "kind": "cssi.kind",
}
"""All that a span may carry, and how it is called outside."""
RAW_ROUTES = ("/aggregator/slots/", "/wallets/payload/")
"""Addresses that end in a token and are answered without Django."""
_TRANSITIONS = (
    ("aggregator", "RoundTransition", "round"),
    ("collectives", "JobTransition", "job"),
)
"""Logs of state machines: (app, model, the machine it belongs to). The time between two entries is a phase."""


def configure() -> None:
    """At the start of a process: an exporter if one is wanted, and the hooks that make spans."""
    _export()
    signals.task_prerun.connect(_task_begins, weak=False, dispatch_uid="telemetry")
    signals.task_failure.connect(_task_fails, weak=False, dispatch_uid="telemetry")
    signals.task_postrun.connect(_task_ends, weak=False, dispatch_uid="telemetry")
    for app, model, machine in _TRANSITIONS:
        if app in apps.app_configs:
            post_save.connect(
                _phase_ends(machine),
                apps.get_model(app, model),
                weak=False,
                dispatch_uid=f"telemetry {model}",
            )


def _export() -> None:
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        logger.warning(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but opentelemetry-sdk and opentelemetry-exporter-otlp-proto-http are not installed."
        )
        return
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


@contextmanager
def span(name: str, *, server: bool = False, **words: str | int) -> Iterator[trace.Span]:
    """Around a piece of work. Of an error only its type is told.

    Args:
        words: attributes by their short names in `ATTRIBUTES`.

    Raises:
        KeyError: an attribute that is not on the list.
    """
    attributes = {ATTRIBUTES[word]: value for word, value in words.items()}
    kind = SpanKind.SERVER if server else SpanKind.INTERNAL
    # The library's own way to note an exception keeps its text and the stack's.
    with tracer.start_as_current_span(
        name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except BaseException as error:
            _failed(current, error)
            raise


def _failed(current: trace.Span, error: BaseException) -> None:
    current.set_attribute(ATTRIBUTES["error"], type(error).__name__)
    current.set_status(Status(StatusCode.ERROR))


Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class Traced:
    """An ASGI application with a span around each request and each socket."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket") or not _taken():
            await self._app(scope, receive, send)
            return
        name = "request" if scope["type"] == "http" else "socket"
        with span(name, server=True, method=str(scope.get("method", "GET"))) as current:
            if not current.is_recording():
                await self._app(scope, receive, send)
                return
            current.set_attribute(ATTRIBUTES["route"], route(scope["path"]))

            async def told(message: MutableMapping[str, Any]) -> None:
                if message["type"] == "http.response.start":
                    current.set_attribute(ATTRIBUTES["status"], int(message["status"]))
                await send(message)

            await self._app(scope, receive, told)


def route(path: str) -> str:
    """The pattern a path belongs to, without the values in it."""
    for prefix in RAW_ROUTES:
        if path.startswith(prefix):
            return prefix + "<token>"
    if path.startswith("/ws/"):
        return "/ws/" + "".join(letter for letter in path.split("/")[2] if letter.isalpha())[:12] + "/"
    try:
        return "/" + str(resolve(path).route)
    except Resolver404:
        return "unknown"


def _task_begins(task: Any = None, **_: Any) -> None:
    current = tracer.start_span("task", attributes={ATTRIBUTES["kind"]: str(task.name)})
    task.request.cssi_span = current
    task.request.cssi_token = context.attach(trace.set_span_in_context(current))


def _task_fails(sender: Any = None, exception: BaseException | None = None, **_: Any) -> None:
    current = getattr(sender.request, "cssi_span", None)
    if current is not None and exception is not None:
        _failed(current, exception)


def _task_ends(task: Any = None, **_: Any) -> None:
    current = getattr(task.request, "cssi_span", None)
    if current is not None:
        context.detach(task.request.cssi_token)
        current.end()


def _phase_ends(machine: str) -> Callable[..., None]:
    """A handler of new log entries: the phase that ends with one becomes a span of its real length."""

    def handler(sender: Any, instance: Any, created: bool, using: str, **_: Any) -> None:
        now = _nanoseconds(instance.at)
        if not created or not _recording():
            return
        mine = {machine: getattr(instance, machine)}
        last = sender.objects.using(using).filter(**mine, pk__lt=instance.pk).order_by("-pk").first()
        began = _nanoseconds(last.at) if last is not None else now
        words = {"machine": machine, "phase": str(instance.before), "next": str(instance.after)}
        attributes = {ATTRIBUTES[word]: value for word, value in words.items()}
        tracer.start_span("phase", start_time=began, attributes=attributes).end(max(began, now))

    return handler


def _taken() -> bool:
    """Whether there is anybody to take spans. A span that is for nobody costs a socket time when it comes and memory while it stays."""
    nobody = isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
    return not (nobody and isinstance(tracer, trace.ProxyTracer))


def _recording() -> bool:
    """Does anybody take spans? The probe is never ended, so it is never exported."""
    return tracer.start_span("probe").is_recording()


def _nanoseconds(at: int | datetime) -> int:
    """Of a moment in seconds or as a date."""
    return int((at.timestamp() if isinstance(at, datetime) else at) * 1_000_000_000)
