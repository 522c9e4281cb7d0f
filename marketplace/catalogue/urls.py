"""Mounted at the root."""

from __future__ import annotations

from django.urls import path, register_converter

from marketplace.catalogue import audits, views
from marketplace.catalogue.data_tool import data_tool


class HashConverter:
    regex = "[0-9a-f]{64}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(HashConverter, "hash")

urlpatterns = [
    path("", views.home, name="home"),
    path("how/", views.how, name="how"),
    path("collectives/", views.catalogue, name="catalogue"),
    path("collectives/<uuid:collective_id>/", views.collective, name="collective"),
    path("collectives/<uuid:collective_id>/data-tool/", data_tool, name="data-tool"),
    path("algorithms/", views.algorithms, name="algorithm-list"),
    path("algorithms/<hash:manifest_hash>/", views.algorithm, name="algorithm"),
    path("algorithms/<hash:manifest_hash>/audit/", audits.report, name="audit"),
    path("algorithms/<hash:manifest_hash>/audit.json", audits.report_file, name="audit-file"),
]
