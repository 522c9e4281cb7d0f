"""What stands on the pages: consent words, equal weights, errors, counts of queries, headers."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from django.urls import reverse

from collectives.datatool import page as tool
from collectives.models import Algorithm
from collectives.services import collectives as services
from tests.apps import cast
from tests.apps.cast import World
from tests.apps.pages.addresses import FILES, for_each_role, pages

pytestmark = pytest.mark.django_db(databases="__all__")


class Outline(HTMLParser):
    """Titles, headings, ids, inline code of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.titles, self.h1, self.ids, self.inline, self.languages = 0, 0, [], [], []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self.titles += tag == "title"
        self.h1 += tag == "h1"
        if tag == "html":
            self.languages.append(names.get("lang"))
        if names.get("id"):
            self.ids.append(names["id"])
        if "style" in names or any(name.startswith("on") for name in names) or tag == "style":
            self.inline.append((tag, names))
        if tag == "script" and not names.get("src") and names.get("type") != "application/json":
            self.inline.append((tag, names))


def test_every_page_is_whole_html_without_inline_code(world: World) -> None:
    for page in (*pages(world), *for_each_role(world)):
        if page.name in FILES:
            continue
        text = page.client(world).get(page.url).content.decode()
        outline = Outline(text)
        assert outline.titles == 1, page.name
        assert outline.h1 == 1, page.name
        assert outline.languages == ["en"], page.name
        assert not outline.inline, (page.name, outline.inline)
        assert len(outline.ids) == len(set(outline.ids)), page.name


def test_pages_load_nothing_from_elsewhere(world: World) -> None:
    for page in pages(world):
        answer = page.client(world).get(page.url)
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy, page.name
        assert "unsafe" not in policy, page.name
        if page.name != "checkpoint":
            assert not re.findall(r'(?:src|href)="(?:https?:)?//', answer.content.decode()), page.name


def test_consent_says_who_what_for_what_leaves_and_how_to_stop(world: World) -> None:
    other = cast.register(world.people["alice"], "Another question")
    text = world.client("ivo").get(reverse("subscribe", args=[other.pk])).content.decode()
    for sentence in (
        "Another question asks to train a model with your wallet.",
        "Only a masked number list leaves it.",
        "The aggregator reads sums of at least 38 wallets; the buyer gets a model made of sums of at least 100.",
        "You earn 0.005 OCEAN for each visit, also if the algorithm fails.",
        "Results already added to a model cannot be taken out again.",
    ):
        assert sentence in text


def test_subscribe_and_not_now_weigh_the_same(world: World) -> None:
    other = cast.register(world.people["alice"], "Another question")
    text = world.client("ivo").get(reverse("subscribe", args=[other.pk])).content.decode()
    row = re.search(r'<div class="equal">(.*?)</div>', text, re.S)
    assert row is not None
    assert re.findall(r'class="([^"]*)"', row.group(1)) == ["button", "button"]
    assert "checked" not in text


def test_the_three_answers_to_a_notice_weigh_the_same(world: World) -> None:
    text = (
        world.client("ivo").get(reverse("notice", args=[world.link.pk, world.admission.pk])).content.decode()
    )
    row = re.search(r'<div class="equal">(.*?)</div>', text, re.S)
    assert row is not None
    assert re.findall(r'class="([^"]*)"', row.group(1)) == ["button"] * 3
    assert "you continue without the new algorithm" in text


def test_revoking_takes_as_many_clicks_as_subscribing(world: World) -> None:
    client = world.client("ivo")
    page = client.get(reverse("subscription", args=[world.link.pk])).content.decode()
    assert f'action="{reverse("revoke", args=[world.link.pk])}"' in page
    client.post(reverse("revoke", args=[world.link.pk]))
    world.link.refresh_from_db()
    assert world.link.status == "revoked"


def test_the_catalogue_filters_and_says_when_nothing_matches(world: World) -> None:
    client = world.client("")
    cast.register(world.people["alice"], "Dear data", rate=10**16)
    assert "Dear data" in client.get(reverse("catalogue"), {"rate": 10**16}).content.decode()
    found = client.get(reverse("catalogue"), {"rate": 10**16}).content.decode()
    assert "Sleep well" not in found
    assert (
        "No collective matches" in client.get(reverse("catalogue"), {"field": "shoe size"}).content.decode()
    )
    assert client.get(reverse("catalogue"), {"rate": "many", "cohort": "-3", "page": "x"}).status_code == 200


def test_the_catalogue_finds_by_field_proof_and_who_may_order(world: World) -> None:
    client, url = world.client(""), reverse("catalogue")
    attested = json.loads(json.dumps(cast.REQUIREMENT))
    attested["properties"]["hours"] |= {
        "x-assurance": "attested",
        "x-issuers": ["did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"],
    }
    cast.register(world.people["alice"], "Proven sleep", requirement=attested, order_policy="approval")

    def shown(**wanted: str) -> list[bool]:
        text = client.get(url, wanted).content.decode()
        return [name in text for name in ("Sleep well", "Proven sleep")]

    assert shown() == [True, True]
    assert shown(assurance="attested") == [False, True]
    assert shown(assurance="declared") == [True, False]
    assert shown(orders="approval") == [False, True]
    assert shown(q="hours of sleep") == [True, True]
    assert shown(q="hours of work") == [False, False]
    assert shown(assurance="nonsense") == [True, True]


@pytest.mark.parametrize(
    ("sort", "first"),
    [("name", "Ants"), ("rate", "Zebras"), ("cheapest", "Ants"), ("newest", "Zebras"), ("cohort", "Ants")],
)
def test_the_catalogue_sorts(world: World, sort: str, first: str) -> None:
    cast.register(world.people["alice"], "Ants", rate=10**15, release_min=200)
    cast.register(world.people["alice"], "Zebras", rate=10**17)
    text = world.client("").get(reverse("catalogue"), {"sort": sort}).content.decode()
    places = {name: text.index(name) for name in ("Ants", "Zebras", "Sleep well")}
    assert min(places, key=lambda name: places[name]) == first


def test_the_calculator_divides(world: World) -> None:
    url = reverse("collective", args=[world.collective.pk])
    assert (
        "<strong>2,000,000 visits</strong>" in world.client("").get(url, {"budget": "10000"}).content.decode()
    )
    assert "Too little" in world.client("").get(url, {"budget": "0.4"}).content.decode()
    assert "Write an amount" in world.client("").get(url, {"budget": "much"}).content.decode()


def test_pages_show_subscribers_in_steps_only(world: World) -> None:
    text = world.client("").get(reverse("collective", args=[world.collective.pk])).content.decode()
    assert "none yet" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": "0.4"}, "This pays 80 visits; one round needs at least 100. Enter 0.5 or more."),
        ({"budget": ""}, "This field is required."),
        ({"budget": "ten"}, "Write an amount such as 120 or 0.5."),
        ({"rounds": "0"}, "At least 1; you wrote 0."),
        ({"algorithm": "00" * 32}, "Choose one of the listed algorithms."),
    ],
)
def test_an_order_that_cannot_be_says_what_to_do_and_changes_nothing(
    world: World, changes: dict[str, str], message: str
) -> None:
    values = {"algorithm": world.algorithm.manifest_hash, "budget": "100", "rounds": "5"} | changes
    answer = world.client("carla").post(reverse("order", args=[world.collective.pk]), values)
    assert answer.status_code == 422
    assert message in answer.content.decode()
    assert cast.Order.objects.count() == 1


def test_an_order_without_funds_is_kept_and_says_so(world: World) -> None:
    values = {"algorithm": world.algorithm.manifest_hash, "budget": "100", "rounds": "5"}
    answer = world.client("carla").post(reverse("order", args=[world.collective.pk]), values, follow=True)
    assert "it is not funded" in answer.content.decode()
    assert cast.Order.objects.count() == 2


def test_a_checkpoint_is_downloaded_at_any_time(world: World) -> None:
    answer = world.client("carla").get(reverse("checkpoint", args=[world.order.job_id, 0]))
    assert answer.content.startswith(b"CSSICKPT")
    assert world.client("carla").get(reverse("checkpoint", args=[world.order.job_id, 9])).status_code == 404


def _register(world: World, **changes: str) -> tuple[int, str]:
    values = cast.registration() | {
        "field-TOTAL_FORMS": "2",
        "field-INITIAL_FORMS": "0",
        "field-0-name": "hours",
        "field-0-title": "Hours of sleep",
        "field-0-kind": "number",
        "field-0-low": "0",
        "field-0-high": "24",
        "field-0-needed": "on",
        "field-1-kind": "number",
    }
    answer = world.client("alice").post(reverse("collective-register"), values | changes)
    return answer.status_code, answer.content.decode()


def test_registering_from_the_table_makes_a_signed_collective(world: World) -> None:
    assert _register(world)[0] == 302
    made = cast.Collective.objects.get(name="New question")
    document = made.terms.get().document
    assert document["requirement"]["properties"]["hours"] == {
        "type": "number",
        "title": "Hours of sleep",
        "minimum": 0,
        "maximum": 24,
        "x-feature": {"encode": "number"},
    }
    assert document["collective_key"] == made.public_key


def test_registering_from_a_schema_works_too(world: World) -> None:
    assert _register(world, source="json", schema=json.dumps(cast.REQUIREMENT))[0] == 302


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "This field is required."),
        ({"rate": "4"}, "Choose one of the listed rates; there is no 4."),
        ({"source": "json", "schema": "{"}, "is not JSON: look at line 1"),
        ({"source": "json", "schema": "[]"}, "must be a JSON object"),
        ({"source": "json", "schema": '{"type": "object", "$ref": "x"}'}, "which a data requirement may not"),
        ({"field-0-name": "two words"}, "beginning with a letter"),
        ({"field-0-name": ""}, "beginning with a letter"),
        ({"field-0-kind": "choice"}, "List the choices"),
        ({"field-0-high": ""}, "Say the least and the most"),
        ({"field-0-low": "30"}, "The most (24) is below the least (30)."),
        ({"field-0-name": "", "field-0-title": ""}, "Describe at least one field"),
        ({"field-1-name": "hours", "field-1-kind": "boolean"}, "is the short name of field 1 already"),
        ({"release_min": "50"}, "At least 100 wallets; you wrote 50."),
        ({"release_min": "20", "bucket_min": "30"}, "20 is below the smallest sum the aggregator may read"),
    ],
)
def test_a_registration_that_cannot_be_says_what_to_do(
    world: World, changes: dict[str, str], message: str
) -> None:
    status, text = _register(world, **changes)
    assert status == 422
    assert message in text
    assert not cast.Collective.objects.filter(name="New question").exists()


def test_more_fields_keeps_what_was_typed(world: World) -> None:
    status, text = _register(world, more_rows="1")
    assert status == 200
    assert text.count('<fieldset class="line">') == 4
    assert 'value="Hours of sleep"' in text


def test_the_preview_shows_what_a_holder_will_read(world: World) -> None:
    values = {"source": "table", "name": "Typed name", "field-TOTAL_FORMS": "1", "field-INITIAL_FORMS": "0"}
    client = world.client("alice")
    url = reverse("collective-preview")
    assert "Describe at least one field" in client.post(url, values).content.decode()
    values |= {"field-0-name": "hours", "field-0-kind": "boolean", "field-0-needed": "on"}
    text = client.post(url, values).content.decode()
    assert "Typed name asks to train a model with your wallet." in text
    assert cast.Collective.objects.count() == 1


def test_new_terms_are_shown_beside_the_ones_a_wallet_signed(world: World) -> None:
    services.propose_terms(actor=world.people["alice"], collective=world.collective, rate=10**16)
    text = world.client("ivo").get(reverse("subscription", args=[world.link.pk])).content.decode()
    assert "<del>0.005 OCEAN</del>" in text
    assert "<ins>0.01 OCEAN</ins>" in text


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("", "Give the manifest once"),
        ("{", "is not JSON"),
        ('{"version": 1}', "The manifest is refused"),
    ],
)
def test_a_manifest_that_cannot_be_says_what_to_do(world: World, manifest: str, message: str) -> None:
    answer = world.client("aron").post(reverse("algorithm-submit"), {"text": manifest})
    assert answer.status_code == 422
    assert message in answer.content.decode()


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("submitted", "A person reviews it"),
        ("approved", "before; it is approved"),
        ("returned", "before; it is returned"),
    ],
)
def test_the_same_manifest_again_says_where_it_stands(world: World, status: str, message: str) -> None:
    Algorithm.objects.filter(pk=world.algorithm.pk).update(status=status)
    body = {"text": json.dumps(world.algorithm.manifest)}
    answer = world.client("aron").post(reverse("algorithm-submit"), body, follow=True)
    assert message in answer.content.decode()
    assert Algorithm.objects.count() == 1
    assert Algorithm.objects.get().status == status


def test_a_manifest_file_that_is_not_utf8_is_refused(world: World) -> None:
    from django.core.files.uploadedfile import SimpleUploadedFile

    file = SimpleUploadedFile("m.json", b"\xff\xfe{")
    answer = world.client("aron").post(reverse("algorithm-submit"), {"file": file})
    assert answer.status_code == 422
    assert "not UTF-8" in answer.content.decode()


def test_what_goes_wrong_says_what_to_do(world: World) -> None:
    answer = world.client("").get("/nothing/here/")
    assert answer.status_code == 404
    assert "There is no page at this address" in answer.content.decode()
    answer = world.client("").get("/api/v1/nothing")
    assert answer.json()["code"] == "not_found"


def test_our_own_fault_still_answers_with_a_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from marketplace.catalogue import views

    def broken(*args: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(views.selectors, "public_collectives", broken)
    client = world.client("")
    client.raise_request_exception = False
    answer = client.get(reverse("catalogue"))
    assert answer.status_code == 500
    assert "This is our fault" in answer.content.decode()
    assert "a bug" not in answer.content.decode()


def test_the_data_creation_tool_is_a_download_of_the_published_template(world: World) -> None:
    answer = world.client("").get(reverse("data-tool", args=[world.collective.pk]))

    assert answer["Content-Disposition"].startswith("attachment;")
    assert (
        tool.requirement_of(answer.content.decode()) == world.collective.terms.first().document["requirement"]
    )
