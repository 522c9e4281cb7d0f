"""`/metrics` in Prometheus' text format: counts of the domains this process holds. No label names a person, a wallet, a job or a collective.

Every figure is read from the database or the broker when it is asked for, so any process of a role answers the same. A domain says what it
counts in a module `metrics` of its app: `samples()` yields `Sample`s.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from celery import current_app
from django.apps import apps
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from marketplace.settings.roles import queues
from marketplace.trust import OWN_PACKAGES

Sample = tuple[str, str, dict[str, str], float]
"""Name without the prefix `cssi_`, what it is, labels, value."""


def metrics(request: HttpRequest) -> HttpResponse:
    """The proxy answers 404 for this path; Prometheus asks from inside."""
    registry = CollectorRegistry()
    registry.register(_Collector())
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def samples() -> Iterator[Sample]:
    """What every app of this process counts, and how long its queues are."""
    for app in apps.get_app_configs():
        ours = app.name != "marketplace" and app.name.split(".")[0] in OWN_PACKAGES
        if ours and find_spec(f"{app.name}.metrics"):
            yield from import_module(f"{app.name}.metrics").samples()
    yield from _queues()


class _Collector:
    def collect(self) -> Iterable[GaugeMetricFamily]:
        families: dict[str, GaugeMetricFamily] = {}
        failed = 0
        found = samples()
        while True:
            try:
                name, what, labels, value = next(found)
            except StopIteration:
                break
            except Exception:  # a domain that cannot be asked must not hide the others' figures already read
                failed = 1
                break
            family = families.setdefault(name, GaugeMetricFamily(f"cssi_{name}", what, labels=list(labels)))
            family.add_metric(list(labels.values()), value)
        yield from families.values()
        yield GaugeMetricFamily(
            "cssi_metrics_incomplete", "1 when something could not be asked", value=failed
        )

    def describe(self) -> list[Any]:
        return []  # asking for the names alone must not ask the databases


def _queues() -> Iterator[Sample]:
    with current_app.connection_for_read() as connection:
        channel = connection.default_channel
        for name in queues(settings.ROLES):
            size = channel._size(name)  # kombu has no public name for it
            yield "queue_length", "wake-ups that wait for a worker", {"queue": name}, size
