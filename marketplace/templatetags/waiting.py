"""What the first page of the administration says is to be done."""

from __future__ import annotations

from dataclasses import dataclass

from django import template
from django.conf import settings
from django.urls import reverse

from collectives import selectors
from marketplace.settlement.selectors import new_jobs_blocked

register = template.Library()


@dataclass(frozen=True, kw_only=True)
class ToDo:
    text: str
    url: str


@register.simple_tag
def to_do() -> list[ToDo]:
    """Sentences with the list each is about; empty when nothing waits."""
    found = [
        ToDo(text=f"{row.count:,} {row.words}", url=f"{reverse(f'admin:{row.admin}_changelist')}?{row.query}")
        for row in selectors.waiting_for_administrator()
    ]
    appeals = _appeals()
    if appeals:
        url = reverse("admin:aggregator_exclusion_changelist")
        query = "state__exact=excluded&appealed_at__isempty=0"
        text = f"{appeals:,} holders object to the exclusion of their wallet"
        found.insert(0, ToDo(text=text, url=f"{url}?{query}"))
    blocked = new_jobs_blocked()
    if blocked:
        url = reverse("admin:settlement_reconciliation_changelist")
        found.insert(0, ToDo(text=f"No new job is taken: {blocked}", url=url))
    return found


def _appeals() -> int:
    """Where the aggregator is another process, its own administration says so."""
    if "aggregator" not in settings.ROLES:
        return 0
    from aggregation.server.services.exclusions import appeals_waiting

    return appeals_waiting()
