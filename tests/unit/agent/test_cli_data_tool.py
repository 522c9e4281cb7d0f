"""The data creation tool on the command line: the offline page, its check, and the same file made from words. No wallet is needed."""

from __future__ import annotations

import json
from pathlib import Path

from collectives.datatool import page, saved
from collectives.terms.canonical import digest
from collectives.terms.requirements import requirement_hash
from tests.unit.agent import documents
from tests.unit.agent.conftest import Run
from tests.unit.agent.world import World

WORDS = ("height=4.5", "weight=2.5", "ill=true")


async def test_the_page_is_the_published_one_and_is_recognised(
    run: Run, requirement: str, tmp_path: Path
) -> None:
    out = tmp_path / "tool.html"
    said = await run("data-tool", "--requirement", requirement, "--out", str(out))
    assert (said.code, page.template_hash()[:16] in said.out) == (0, True)
    assert out.read_text("utf-8") == page.render(documents.REQUIREMENT)
    assert out.stat().st_mode & 0o777 == 0o600
    said = await run("check-tool", str(out))
    assert said.code == 0
    assert requirement_hash(documents.REQUIREMENT) in said.out
    out.write_text(out.read_text("utf-8").replace("default-src 'none'", "default-src *"), "utf-8")
    assert (await run("check-tool", str(out))).code == 2
    assert (await run("check-tool", str(tmp_path / "nothing.html"))).code == 2
    said = await run("data-tool", "--requirement", requirement, "--out", str(out))
    assert (said.code, "exists already" in said.err) == (2, True)


async def test_words_become_the_file_that_the_page_saves(run: Run, requirement: str, tmp_path: Path) -> None:
    out = tmp_path / "mine.json"
    said = await run("create-data", "--requirement", requirement, "--out", str(out), *WORDS)
    assert (said.code, "then delete it" in said.out) == (0, True)
    assert json.loads(out.read_text("utf-8")) == {
        "requirement_id": requirement_hash(documents.REQUIREMENT),
        "hash": digest(documents.RECORD).hex(),
        "data": documents.RECORD,
    }
    assert saved.unpack(json.loads(out.read_text("utf-8")), documents.REQUIREMENT) == documents.RECORD
    assert out.stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "w").exists()
    await run("init")
    said = await run("import", str(out), "--requirement", requirement)
    assert (said.code, "3 fields added, 0 replaced" in said.out) == (0, True)


async def test_what_does_not_meet_the_requirement_is_named_and_nothing_is_written(
    run: Run, requirement: str, tmp_path: Path
) -> None:
    out = tmp_path / "mine.json"
    for words, says in (
        (WORDS[:2], "ill is missing"),
        (("height", *WORDS[1:]), "FIELD=VALUE"),
        (("height=tall", *WORDS[1:]), "height"),
        (("shoe=44", *WORDS), "Fields nobody asked for: shoe"),
        (("height=99", *WORDS[1:]), "height: must be at most"),
    ):
        said = await run("create-data", "--requirement", requirement, "--out", str(out), *words)
        assert (said.code, says in said.err) == (2, True), (words, said.err)
        assert "99" not in said.err  # no value is repeated
    assert not out.exists()


async def test_the_requirement_of_a_collective_is_that_of_its_signed_terms(
    run: Run, world: World, tmp_path: Path
) -> None:
    out = tmp_path / "tool.html"
    said = await run("data-tool", "--collective", world.collective.id, "--out", str(out))
    assert said.code == 1  # no wallet yet, and none is needed but to ask
    await run("init")
    said = await run("data-tool", "--collective", world.collective.id, "--out", str(out))
    assert (said.code, "Pair it first" in said.err) == (1, True)
