"""Spans kept in memory, and what none of them may carry."""

from __future__ import annotations

import re
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from marketplace import telemetry

IDENTIFYING = re.compile(
    r"[0-9a-f]{12}|[0-9a-f]{8}-[0-9a-f]{4}|@|0x[0-9a-fA-F]{6}|\d{6}|127\.0\.0\.1|Bearer|token="
)
"""Keys, hashes, UUIDs, addresses of mail, chain and network, tokens, amounts."""


class Recording:
    """What was recorded since the beginning of a test."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        monkeypatch.setattr(telemetry, "tracer", provider.get_tracer("test"))

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    def attributes(self, name: str) -> list[dict[str, Any]]:
        return [dict(span.attributes or {}) for span in self.spans(name)]

    def assert_nobody_is_named(self, *secrets: str) -> None:
        """Only attributes of the list, no value that looks like an identifier, none of these words anywhere, no event at all."""
        everything = self._exporter.get_finished_spans()
        assert everything
        for span in everything:
            found = dict(span.attributes or {})
            assert set(found) <= set(telemetry.ATTRIBUTES.values()), span.name
            text = f"{span.name} {' '.join(str(value) for value in found.values())} {span.status.description or ''}"
            assert not IDENTIFYING.search(text), text
            assert not [secret for secret in secrets if secret in text], text
            assert not span.events, "an exception's text"
