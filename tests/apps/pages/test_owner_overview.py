"""The owner's overview: subscribers week by week and live jobs' budgets, people in steps only; and steps that every language can count with."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from collectives import selectors
from collectives.models import Collective, Job, Subscription, TermsVersion
from marketplace.jobs import services
from tests.apps import crowd
from tests.apps.cast import World

GERMAN = {"Accept-Language": "de"}


@pytest.fixture
def weeks(world: World) -> World:
    """60 subscribed twenty days ago, 10 of them left ten days ago; 45 more came yesterday. One permission ran out."""
    now = timezone.now()
    rows = crowd.subscribers(world, 105)
    old, left, new = rows[:60], rows[:10], rows[60:]
    for part, ago in ((old, 20), (new, 1)):
        ids = [row.pk for row in part]
        Subscription.objects.filter(pk__in=ids).update(subscribed_at=now - timedelta(days=ago))
    gone = [row.pk for row in left]
    Subscription.objects.filter(pk__in=gone).update(status="revoked", revoked_at=now - timedelta(days=10))
    Subscription.objects.filter(pk=old[-1].pk).update(expires_at=now - timedelta(hours=1))
    return world


def test_weeks_are_counted_as_they_were_and_in_steps(weeks: World) -> None:
    found = selectors.weekly(weeks.collective, timezone.now())
    assert [week.subscribers for week in found] == ["50+", "50+", "50+", "none yet", *["none yet"] * 4]
    assert found[0].ends - found[1].ends == timedelta(days=7)
    # 94 now; 50 a week ago, 60 two weeks ago: none of these numbers is on the page.
    text = (
        weeks.client("alice").get(reverse("collective-console", args=[weeks.collective.pk])).content.decode()
    )
    cells = re.findall(r"<td>([^<]*)</td>", text.split("Subscribers, week by week")[1].split("</table>")[0])
    assert cells == [week.subscribers for week in found]
    assert not re.search(r">\s*(94|95|60)\s*<", text)


def test_who_can_be_drawn_is_who_has_not_run_out(weeks: World) -> None:
    assert selectors.eligible(weeks.collective) == 94


def test_live_jobs_and_what_their_budgets_hold(world: World) -> None:
    page = reverse("collective-console", args=[world.collective.pk])

    def shown() -> str:
        return " ".join(re.sub(r"<[^>]+>", " ", world.client("alice").get(page).content.decode()).split())

    assert "Live jobs 0 paid for and not over" in shown()
    Job.objects.filter(pk=world.order.job_id).update(status="running", visits_earned=1_000)
    assert "Live jobs 1 paid for and not over" in shown()
    assert "Their budgets hold 995 OCEAN" in shown()  # 200,000 visits at 0.005, of which 1,000 are earned


def test_a_job_of_lowered_minima_begins_with_one_cohort(world: World) -> None:
    terms = world.collective.terms.get().document
    assert selectors.subscribers_needed(terms) == 3 * terms["release_min"]
    assert selectors.subscribers_needed(terms | {"development": True}) == terms["release_min"]


def test_a_thousand_subscribers_are_a_thousand_in_german_too(world: World) -> None:
    """'1.000+' was once read back as no step at all: no visits each, and last in the order."""
    crowd.subscribers(world, 1_200)
    page = reverse("collective", args=[world.collective.pk])
    english = world.client("").get(page, {"budget": "100"}).content.decode()
    german = world.client("").get(page, {"budget": "100"}, headers=GERMAN).content.decode()
    assert "With 1,000+ subscribers at most 20 visits each." in english
    assert "1.000+" in german
    assert "Bei 1.000+ Teilnehmenden je höchstens 20 Besuche." in german


@pytest.mark.parametrize("subscribers", [0, 99, 117, 142, 1_000])
def test_the_default_plan_tells_nobody_how_many_subscribe(world: World, subscribers: int) -> None:
    crowd.subscribers(world, subscribers)
    collective: Collective = world.collective
    terms: TermsVersion = collective.terms.get()
    assert services.default_plan(collective, terms.document).cohort == 130
    small = terms.document | {"development": True, "release_min": 20}
    assert services.default_plan(collective, small).cohort == 26
