"""The data creation tool without a browser: its template, what is recognised as it, and the file it saves."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from collectives.datatool import page, saved
from collectives.terms.errors import TermsError
from marketplace.demo.job_performance import job_performance
from marketplace.demo.job_performance import requirement as seed_requirement

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "protocol" / "data-tool.md"


def test_the_published_hash_is_the_templates() -> None:
    assert f"`{page.template_hash()}`" in DOCUMENT.read_text("utf-8")


def test_two_collectives_pages_differ_in_one_block(requirement: dict[str, Any]) -> None:
    one, other = page.render(requirement), page.render(seed_requirement())
    before, after = page.template().split("{{requirement}}")
    assert all(made.startswith(before) and made.endswith(after) for made in (one, other))
    assert page.requirement_of(one) == requirement
    assert page.requirement_of(other) == seed_requirement()


def test_a_page_somebody_touched_is_not_the_tool(requirement: dict[str, Any]) -> None:
    made = page.render(requirement)
    touched = [
        made.replace("default-src 'none'", "default-src *"),
        made.replace("start();", "fetch('//x');start();"),
        made.replace('"type":', '"type": ', 1),
        made.replace("</script>\n<script>", "</script><script>fetch('//x')</script>\n<script>"),
        made + " ",
        "",
    ]
    for other in touched:
        with pytest.raises(TermsError) as raised:
            page.requirement_of(other)
        assert raised.value.code in {"wrong_tool", "not_json"}


def test_a_bad_requirement_makes_no_page() -> None:
    with pytest.raises(TermsError, match="JSON Schema of type object"):
        page.render({"type": "array"})


def test_what_was_saved_comes_back_and_a_change_shows() -> None:
    person = job_performance(people=10).train[0]
    file = saved.pack(seed_requirement(), person)
    assert saved.is_saved(file)
    assert not saved.is_saved(person)
    assert saved.unpack(file, seed_requirement()) == person

    changed = copy.deepcopy(file)
    changed["data"]["peer_review"] += 1
    with pytest.raises(TermsError, match="changed after it was saved"):
        saved.unpack(changed, seed_requirement())
    with pytest.raises(TermsError, match="another data requirement"):
        saved.unpack(file, seed_requirement() | {"title": "another"})


def test_an_incomplete_record_is_not_saved_and_not_repeated() -> None:
    person = job_performance(people=10).train[0] | {"job_title": "secret agent"}
    with pytest.raises(TermsError) as raised:
        saved.pack(seed_requirement(), person)
    assert str(raised.value) == "job_title: is not one of the listed values"
