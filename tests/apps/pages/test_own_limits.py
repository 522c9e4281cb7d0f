"""What a person decides for themselves, said where they look for it: limits, a break, when the next payout is."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from tests.apps import cast
from tests.apps.cast import World
from wallets.agent.cli import _parser


def test_the_consent_screen_says_how_to_narrow_and_the_command_exists(world: World) -> None:
    other = cast.register(world.people["alice"], "Another question")
    text = world.client("ivo").get(reverse("subscribe", args=[other.pk])).content.decode()
    assert "Narrow or shorten this permission" in text
    commands = [line for line in text.splitlines() if f"wallets.agent limit {other.pk}" in line]
    assert len(commands) == 2
    words = f"limit {other.pk} --visits-per-day 3 --visits-total 100 --smallest-release 200"
    assert words in text
    options = _parser().parse_args(words.split())
    assert (options.visits_total, options.smallest_release) == (100, 200)
    assert _parser().parse_args(["limit", str(other.pk), "--pause"]).pause


def test_my_wallet_says_when_the_next_payout_is_and_why_one_waits(world: World, settings: Any) -> None:
    settings.EPOCH_ON_JOB_END = False
    text = world.client("ivo").get(reverse("wallet")).content.decode()
    assert "Next payout" in text
    assert "Visits are paid together every" in text
    assert "python -m wallets.agent pages" in text
    assert "--pause" in text
