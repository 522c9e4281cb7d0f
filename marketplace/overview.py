"""`/admin/overview/`: the figures of `/metrics` as a page for the administrator: rounds, queues, epochs, money on its way."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.html import format_html_join
from django.utils.safestring import SafeString, mark_safe

from marketplace.metrics import samples


def overview(request: HttpRequest) -> HttpResponse:
    """One row per figure, those of one name together. What cannot be asked is said instead of being left out."""
    groups: dict[str, list[dict[str, Any]]] = {}
    problem = ""
    try:
        for name, what, labels, value in samples():
            row = {
                "label": " ".join(labels.values()),
                "value": f"{value:,.0f}",
                "name": _broken(f"cssi_{name}"),
            }
            groups.setdefault(what, []).append(row)
    except (
        Exception
    ) as error:  # a broker or another domain's database that is down is what this page is looked at for
        problem = type(error).__name__
    context = admin.site.each_context(request) | {"title": "Overview", "groups": groups, "problem": problem}
    return render(request, "admin/overview.html", context)


def _broken(name: str) -> SafeString:
    """A long name that a narrow window may break after each of its words."""
    return format_html_join(mark_safe("_<wbr>"), "{}", ((word,) for word in name.split("_")))
