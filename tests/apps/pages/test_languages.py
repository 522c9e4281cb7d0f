"""German is complete: whatever a page says through translation has German words, compiled as they are written, with the same blanks."""

from __future__ import annotations

import gettext
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.urls import reverse
from django.utils import translation
from django.utils.translation import trans_real

from collectives.errors import CollectiveError
from collectives.terms.errors import TermsError
from collectives.terms.sentences import Sentence
from collectives.words import told
from marketplace.accounts.models import Account
from marketplace.individuals.services import letters
from tests.apps import cast
from tests.apps.cast import World
from tests.apps.pages.addresses import pages
from tests.apps.pages.texts import in_python, in_templates

FOLDER = Path(settings.LOCALE_PATHS[0]) / "de" / "LC_MESSAGES"
BLANKS = re.compile(r"%\(\w+\)[sd]|\{\w+\}|%%|</?\w+[^>]*>")
GERMAN = {"Accept-Language": "de"}


def written() -> Iterator[tuple[str, list[str], list[str]]]:
    """(msgid, [msgid, plural], [translations]) of the .po file, which keeps every text on one line."""
    for block in (FOLDER / "django.po").read_text(encoding="utf-8").split("\n\n"):
        found = {
            name: json.loads(text)
            for name, text in re.findall(r'^(msgid|msgid_plural|msgstr(?:\[\d\])?) (".*")$', block, re.M)
        }
        if found.get("msgid"):
            sources = [found["msgid"], *([found["msgid_plural"]] if "msgid_plural" in found else [])]
            yield found["msgid"], sources, [text for name, text in found.items() if name.startswith("msgstr")]


def test_what_is_written_is_what_is_compiled() -> None:
    with (FOLDER / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    rows = list(written())
    assert len(rows) > 1500
    for ident, sources, texts in rows:
        for number, text in enumerate(texts, 1):
            said = compiled.ngettext(*sources, n=number) if len(sources) > 1 else compiled.gettext(ident)
            assert said == text, f"run compilemessages: {ident}"


def test_every_text_keeps_its_blanks_and_is_not_empty() -> None:
    for ident, sources, texts in written():
        assert len(texts) == len(sources), ident
        for source, text in zip(sources, texts, strict=True):
            assert text.strip(), ident
            assert sorted(BLANKS.findall(text)) == sorted(BLANKS.findall(source)), ident
            assert (text[:1] == " ", text[-1:] == " ") == (source[:1] == " ", source[-1:] == " "), ident


def test_every_text_of_the_sources_has_german() -> None:
    """Refusals, sentences of the terms and whatever no page of a test happens to show."""
    known = {source for _ident, sources, _texts in written() for source in sources}
    found = [row for row in (*in_python(), *in_templates()) if row.text is None or row.text.strip()]
    missing = sorted({(row.text or "no constant", row.where) for row in found if row.text not in known})
    assert len(found) > 1800
    # A sentence that was added today may wait for its words; a part of the site may not.
    assert len(missing) * 200 < len(found), missing


def test_a_refusal_is_told_in_the_language_of_who_reads_it() -> None:
    why = TermsError("malformed", "%(name)s must list 1 to 200 different field names.", name="inputs")
    outer = TermsError("bad_manifest", "The manifest is refused: %(error)s", error=why)
    refused = CollectiveError.because(outer)
    assert (refused.code, refused.status) == ("bad_manifest", 400)
    english = "The manifest is refused: inputs must list 1 to 200 different field names."
    with translation.override("en"):
        assert str(refused) == str(outer) == told(outer) == english
    with translation.override("de"):
        german = "Das Manifest wird abgelehnt: inputs muss 1 bis 200 verschiedene Feldnamen aufzählen."
        assert str(refused) == told(outer) == german
        assert str(outer) == english  # the core itself knows one language
        large = CollectiveError(
            "budget_too_large",
            "A job pays at most %(most_visits)s visits; lower the budget.",
            most_visits=2_000_000,
        )
        assert "2.000.000 Besuche" in str(large)
    with translation.override("en"):
        assert Sentence("Half is 50 %.") == "Half is 50 %."  # without blanks a percent sign is one
        part = Sentence("the items of %(place)s", place="a%s")
        assert Sentence("%(part)s of %(n)s", part=part, n=1_000) == "the items of a%s of 1,000"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Every text a German page asks for."""
    seen: set[str] = set()

    def noting(work: Any) -> Any:
        def note(message: str, *more: Any) -> str:
            if translation.get_language() == "de" and message:
                seen.add(str(message))
            return str(work(message, *more))

        return note

    for name in ("gettext", "ngettext"):
        monkeypatch.setattr(translation._trans, name, noting(getattr(trans_real, name)), raising=False)
    return seen


@pytest.mark.django_db(databases="__all__")
def test_every_page_is_german_for_who_reads_german(world: World, asked: set[str]) -> None:
    for page in pages(world):
        answer = page.client(world).get(page.url, headers=GERMAN)
        assert answer.status_code == 200, page.name
        if "html" in answer["Content-Type"] and page.name != "data-tool":
            assert '<html lang="de"' in answer.content.decode(), page.name
    catalog = trans_real.translation("de")._catalog
    missing = sorted(
        text for text in asked if text.replace("\r\n", "\n") not in catalog and (text, 1) not in catalog
    )
    assert len(asked) > 400
    # A sentence that was added today may wait for its words; a page of them may not.
    assert len(missing) * 50 < len(asked), missing


def test_consent_is_read_in_german_and_signed_in_english(world: World) -> None:
    other = cast.register(world.people["alice"], "Andere Frage", not_for="Preise.")
    text = world.client("ivo").get(reverse("subscribe", args=[other.pk]), headers=GERMAN).content.decode()
    for sentence in (
        "Andere Frage möchte mit deiner Wallet ein Modell trainieren.",
        "Zweck: Learn what makes people sleep well. Nicht für: Preise.",
        "Nur eine maskierte Zahlenliste verlässt es.",
        "Du verdienst 0,005 OCEAN für jeden Besuch, auch wenn der Algorithmus scheitert.",
        "Neue Algorithmen werden 20 Sekunden vorher angekündigt.",
        "Ergebnisse, die schon in einem Modell sind, können nicht mehr herausgenommen werden.",
    ):
        assert sentence in text
    assert other.terms.get().document["purpose"] == "Learn what makes people sleep well."


def test_pages_and_programs_are_refused_in_german(world: World) -> None:
    form = {"text": json.dumps(cast.MANIFEST | {"width_in": 5000})}
    page = world.client("aron").post(reverse("algorithm-submit"), form, headers=GERMAN).content.decode()
    sentence = "width_in muss eine ganze Zahl von 1 bis 4096 sein; es ist 5000."
    assert f"Das Manifest wird abgelehnt: {sentence}" in page
    problem = world.client("carla").get(f"/api/v1/jobs/{world.collective.pk}", headers=GERMAN)
    assert problem.json() == {
        "code": "unknown_job",
        "status": 404,
        "detail": "Du hast keinen solchen Auftrag.",
    }


def test_a_language_is_chosen_and_kept_and_letters_are_written_in_it(world: World) -> None:
    client = world.client("ivo")
    assert '<html lang="en"' in client.get(reverse("wallet")).content.decode()
    answer = client.post(reverse("language"), {"language": "de", "next": reverse("wallet")})
    assert answer.url == reverse("wallet")
    page = client.get(reverse("wallet")).content.decode()
    assert '<html lang="de"' in page
    assert 'value="de" lang="de" aria-current="true"' in page
    assert Account.objects.get(pk=world.people["ivo"].pk).language == "de"
    letters.sweep()
    assert mail.outbox[0].subject == "In deiner Wallet ist etwas zu entscheiden"
    client.post(reverse("language"), {"language": "xx", "next": "https://elsewhere.example/"})
    assert Account.objects.get(pk=world.people["ivo"].pk).language == "de"


def test_a_number_is_grouped_as_the_reader_groups(world: World) -> None:
    url = reverse("job", args=[world.order.job_id])
    client = world.client("carla")
    assert "200,000 visits" in client.get(url).content.decode()
    assert "200.000 Besuchen" in client.get(url, headers=GERMAN).content.decode()
