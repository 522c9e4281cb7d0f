"""Algorithms that a subscriber agrees to by subscribing: chosen in the form, named in the signed terms, never asked about again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from collectives import selectors
from collectives.errors import CollectiveError
from collectives.models import Collective, OutgoingCall
from collectives.services import collectives as services
from marketplace.individuals import selectors as mine
from tests.apps import cast
from tests.apps.cast import World
from tests.apps.collectives.wallet import Wallet

NAME = cast.MANIFEST["name"]
WORDS = f"By subscribing you agree to “{NAME}”, without another notice."


def send(world: World, url: str, **changes: Any) -> tuple[int, str]:
    described = {"source": "json", "schema": json.dumps(cast.REQUIREMENT)}
    table = {"field-TOTAL_FORMS": "0", "field-INITIAL_FORMS": "0"}
    answer = world.client("alice").post(url, cast.registration() | described | table | changes)
    return answer.status_code, answer.content.decode()


def agreed(world: World) -> Collective:
    assert send(world, reverse("collective-register"), manifests=[world.algorithm.manifest_hash])[0] == 302
    return Collective.objects.get(name="New question")


def test_the_form_offers_reviewed_algorithms_in_words(world: World) -> None:
    text = world.client("alice").get(reverse("collective-register")).content.decode()
    assert world.algorithm.manifest_hash in text
    assert f"{NAME}: Predict whether people wake up rested (reads age, hours; predicts rested)" in text


def test_what_is_chosen_is_in_the_signed_terms_and_in_the_consent(world: World) -> None:
    made = agreed(world)
    terms = made.terms.get().document
    assert terms["permitted_manifests"] == [world.algorithm.manifest_hash]
    assert [found["name"] for found in terms["algorithms"]] == [NAME]
    text = world.client("ivo").get(reverse("subscribe", args=[made.pk])).content.decode()
    assert WORDS in text
    assert reverse("algorithm", args=[world.algorithm.manifest_hash]) in text
    card = world.client("").get(reverse("collective", args=[made.pk])).content.decode()
    assert "agreed by subscribing" in card
    assert "begins when enough wallets take it" in card


def test_it_may_run_at_once_and_nobody_gets_a_notice_of_it(world: World) -> None:
    made = agreed(world)
    admission = made.admissions.get()
    assert admission.effective_at <= timezone.now()
    wallet = Wallet()
    wallet.subscribe(made)
    calls = OutgoingCall.objects.filter(path__startswith=f"/collectives/{made.pk}/notices/")
    assert not calls.exists()
    assert selectors.willing(admission, list(made.terms.all())).count() == 1
    link = cast.link(world.people["ivo"], world.wallet, made, subscription_key="01" * 32)
    assert admission not in [row.admission for row in mine.open_notices(world.people["ivo"])]
    page = world.client("ivo").get(reverse("subscription", args=[link.pk])).content.decode()
    assert "agreed by subscribing" in page
    notice = world.client("ivo").get(reverse("notice", args=[link.pk, admission.pk])).content.decode()
    assert "You agreed to this algorithm by subscribing" in notice
    assert 'name="choice"' not in notice


def test_who_subscribed_before_hears_of_it_with_the_full_notice(world: World) -> None:
    made = cast.register(world.people["alice"], "Older one")
    Wallet().subscribe(made)
    before = timezone.now()
    services.propose_terms(
        actor=world.people["alice"], collective=made, manifests=[world.algorithm.manifest_hash]
    )
    admission = made.admissions.get()
    assert (admission.effective_at - before).total_seconds() >= settings.NOTICE_MIN_SECONDS - 1
    assert OutgoingCall.objects.filter(path=f"/collectives/{made.pk}/notices/{admission.pk}").exists()
    newcomer = Wallet()
    newcomer.subscribe(made)
    assert not OutgoingCall.objects.filter(key__startswith="notice:", key__endswith=newcomer.key).exists()


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"properties": {"age": cast.REQUIREMENT["properties"]["age"]}, "required": ["age"]}, "does not fit"),
    ],
)
def test_one_that_cannot_read_the_data_is_refused_beside_the_list(
    world: World, schema: dict[str, Any], words: str
) -> None:
    text = json.dumps(cast.REQUIREMENT | schema)
    status, page = send(
        world, reverse("collective-register"), schema=text, manifests=[world.algorithm.manifest_hash]
    )
    assert status == 422
    assert f"“{NAME}” {words} the data requirement" in page
    assert not Collective.objects.filter(name="New question").exists()


def test_a_returned_or_unknown_algorithm_cannot_be_named(world: World) -> None:
    for ident in ("00" * 32, world.algorithm.manifest_hash):
        type(world.algorithm).objects.filter(manifest_hash=ident).update(status="returned")
        with pytest.raises(CollectiveError) as error:
            cast.register(world.people["alice"], "Another", manifests=[ident])
        assert error.value.code == "not_approved"


def test_a_new_version_begins_with_what_the_last_one_names_and_shows_the_difference(world: World) -> None:
    made = agreed(world)
    page = world.client("alice").get(reverse("collective-propose", args=[made.pk])).content.decode()
    box = page.split(f'value="{world.algorithm.manifest_hash}"', 1)[1].split(">")[0]
    assert "checked" in box
    assert send(world, reverse("collective-propose", args=[made.pk]))[0] == 302
    shown = world.client("alice").get(reverse("collective-terms", args=[made.pk])).content.decode()
    assert f"<del>{NAME}</del>" in shown


def test_the_preview_names_what_is_ticked(world: World) -> None:
    status, text = send(world, reverse("collective-preview"), manifests=[world.algorithm.manifest_hash])
    assert status == 200
    assert NAME in text
    assert "By subscribing you agree to" in text


def test_more_lines_keep_what_was_ticked(world: World) -> None:
    _, page = send(
        world, reverse("collective-register"), manifests=[world.algorithm.manifest_hash], more_rows="1"
    )
    assert "checked" in page.split(f'value="{world.algorithm.manifest_hash}"', 1)[1].split(">")[0]


def test_the_wallets_permit_holds_what_the_terms_name(world: World) -> None:
    made = agreed(world)
    wallet = Wallet()
    permit = wallet.subscribe(made)
    assert permit["document"]["manifests"] == [world.algorithm.manifest_hash]
