"""Announced changes on the command line: what is shown, three choices, and an answer that may change at any time."""

from __future__ import annotations

import json
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from aggregation.wire.secret import Secret
from collectives.terms.algorithm import manifest_hash
from tests.unit.agent import documents
from tests.unit.agent.conftest import Run
from tests.unit.agent.test_inbox import NoSandbox
from tests.unit.agent.world import World
from wallets.agent import consent, leaving, notices, terminal, vault
from wallets.agent.agent import WalletAgent
from wallets.agent.consent import Consent, Question, Rule
from wallets.agent.keyfile import SlotKind
from wallets.agent.machine import HolderMachine
from wallets.agent.messages import Choice, HolderPolicy, JobArrived, Memory, Refused
from wallets.agent.transport import Transport

OTHER = documents.manifest(name="another", purpose="tell tall people from small ones")
Told = Callable[..., Awaitable[None]]


async def the_wallet(directory: Path) -> WalletAgent:
    """The wallet of the command line, opened in the test."""
    secret = Secret(b"correct horse battery")
    store = await vault.open_with(directory, SlotKind.PASSPHRASE, secret, now=documents.now())
    agent = WalletAgent(
        name="w",
        store=store,
        transport=Transport(timeout=2),
        launcher=NoSandbox(),
        consent=Consent(Rule.ASK),
        now=documents.now,
        rng=secrets.token_bytes,
    )
    await agent.load()
    return agent


async def closed(agent: WalletAgent) -> None:
    await agent.stop()
    await agent.transport.close()
    await agent.store.close()


@pytest.fixture
async def told(run: Run, tmp_path: Path, requirement: str, world: World) -> Told:
    """A subscribed wallet to which a change was announced; nobody was there to answer."""
    await run("init")
    data = tmp_path / "me.json"
    data.write_text(json.dumps(documents.RECORD))
    await run("import", str(data), "--requirement", requirement)
    await run("subscribe", world.collective.id, "--server", world.url, "--yes")

    async def announce(at: int | None = None, **changes: Any) -> None:
        agent = await the_wallet(tmp_path / "w")
        (key,) = agent.routes
        envelope = world.collective.notice(OTHER, documents.now() if at is None else at, **changes)
        body = json.dumps(envelope).encode()
        assert await agent.inbox.on_mail(to=key, kind="notice", body=body) == "done"
        await closed(agent)

    await announce()
    return announce


async def test_an_open_notice_says_everything_there_is_to_know(run: Run, told: Told) -> None:
    said = await run("notices")
    assert said.code == 0
    for words in (
        "Heights announces a change",
        "What it is for: tell tall people from small ones",
        "Reason given: It is better.",
        "It would read: height, weight. It learns to tell: ill.",
        "Anybody may order and pay for a training with it, and gets the model.",
        "sums of at least 100 wallets",
        "It does not run in your wallet before 20",
        "If you do not answer, you continue without it.",
        "until that date and after it",
        "answer n1 with  |  answer n1 without  |  answer n1 leave",
    ):
        assert words in said.out, words


async def test_the_answer_is_journaled_sent_and_may_change_after_the_date(
    run: Run, told: Told, world: World, tmp_path: Path
) -> None:
    assert "You continue with it; it runs here not before" in (await run("answer", "n1", "with")).out
    assert "No announced change is open. (1 answered" in (await run("notices")).out
    assert "Your answer: with" in (await run("notices", "--all")).out
    assert await allowed(tmp_path, world, after=2000)
    said = await run("answer", "n", "without")  # the beginning of its reference is enough
    assert "You continue without it" in said.out
    assert not await allowed(tmp_path, world, after=2000)
    await run("answer", "n1", "with")
    assert await allowed(tmp_path, world, after=2000)
    sent = world.posted[f"collectives/{world.collective.id}/notice-answers"]
    assert [one["document"]["choice"] for one in sent] == ["with", "without", "with"]
    journal = json.loads((await run("visits", "--kind", "notice", "--format", "json")).out)
    assert [entry["code"] for entry in journal] == ["", "with", "without", "with"]
    assert "answered in the wallet" in journal[-1]["sentence"]


async def allowed(tmp_path: Path, world: World, *, after: int) -> bool:
    """Whether the machine would enrol in a job of the announced algorithm so long after now."""
    agent = await the_wallet(tmp_path / "w")
    memory = Memory.from_record(await agent.store.get("memory", world.collective.id))
    permit = await agent.permit(world.collective.id)
    await closed(agent)
    now = documents.now() + after
    job = world.collective.job(now, manifest=OTHER, manifest_hash=manifest_hash(OTHER))
    event = JobArrived(envelope=job, permit=permit, memory=memory, now=now)
    return not isinstance(HolderMachine(HolderPolicy()).decide(event), Refused)


async def test_leaving_deletes_the_permit_and_the_kept_notice(
    run: Run, told: Told, world: World, tmp_path: Path
) -> None:
    said = await run("answer", "n1", "leave")
    assert (said.code, "its permit is deleted" in said.out) == (0, True)
    assert "nobody may learn" in (await run("permits")).out
    agent = await the_wallet(tmp_path / "w")
    assert await agent.store.list(notices.CATEGORY) == {}
    await closed(agent)
    assert world.subscribers == {}


async def test_without_a_choice_the_terminal_asks_three_equal_questions(
    run: Run, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = await run("answer", "n1")
    assert (said.code, "Give the choice too" in said.err) == (2, True)
    asked: list[Question] = []
    replies = iter(["decide later", "without"])

    async def ask(question: Question) -> str:
        asked.append(question)
        return next(replies)

    monkeypatch.setattr(terminal, "somebody", lambda: True)
    monkeypatch.setattr(terminal, "ask", ask)
    assert "Left open. If you do not answer, you continue without it." in (await run("answer", "n1")).out
    assert "Your answer: open" in (await run("notices")).out
    assert "You continue without it" in (await run("answer", "n1")).out
    assert asked[0].answers == ("decide later", "with", "without", "leave")
    assert any("What it is for" in sentence for sentence in asked[0].sentences)


async def test_a_notice_that_is_not_there_or_not_clear_is_named(run: Run, told: Told) -> None:
    await told(
        notice_ref="n2",
        manifest=documents.manifest(name="x"),
        manifest_hash=manifest_hash(documents.manifest(name="x")),
    )
    assert "More than one notice begins with “n”" in (await run("answer", "n", "with")).err
    said = await run("answer", "zz", "with")
    assert (said.code, "No notice of this wallet begins with “zz”" in said.err) == (1, True)
    assert (await run("answer", "n2", "with")).code == 0


async def test_with_every_server_down_the_choice_counts_and_waits_to_be_told(
    run: Run, told: Told, world: World, tmp_path: Path
) -> None:
    await world.stop()
    said = await run("answer", "n1", "with")
    assert (said.code, "could not be told yet" in said.out) == (0, True)
    assert await allowed(tmp_path, world, after=2000)


async def test_the_question_of_the_moment_carries_the_same_words(
    run: Run, told: Told, tmp_path: Path, world: World
) -> None:
    agent = await the_wallet(tmp_path / "w")
    asked: list[Question] = []

    async def ask(question: Question) -> str:
        asked.append(question)
        return "decide later"

    agent.consent = Consent(Rule.ASK, ask)
    (key,) = agent.routes
    body = json.dumps(world.collective.notice(OTHER, documents.now())).encode()
    await agent.inbox.on_mail(to=key, kind="notice", body=body)
    (known,) = await notices.every(agent)
    assert asked == [consent.question_about("Heights", known.sentences)]
    assert known.seen.choice == ""
    await agent.inbox.answer_notice(known.collective_id, "n1", Choice.WITHOUT)
    await leaving.revoke(agent, known.collective_id)
    assert await notices.every(agent) == []
    await closed(agent)
