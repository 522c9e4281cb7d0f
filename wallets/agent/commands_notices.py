"""Commands about announced changes: list them, answer them, change the answer; and to object to an exclusion."""

from __future__ import annotations

import argparse

from wallets.agent import consent, notices, standing, terminal
from wallets.agent.agent import WalletAgent
from wallets.agent.commands import named_permit, opened
from wallets.agent.errors import BadData
from wallets.agent.messages import Choice
from wallets.agent.notices import Announced

DONE = 0


async def show(options: argparse.Namespace) -> int:
    """Open notices with everything there is to know about them; with --all also the answered ones."""
    async with opened(options) as agent:
        known = await notices.every(agent)
        shown = [one for one in known if options.all or not one.seen.choice]
        for one in shown:
            terminal.present(consent.question_about(one.name, one.sentences))
            print(f"  Your answer: {one.seen.choice or 'open'}")
            ref = terminal.clean(one.seen.notice_ref)
            print(f"  Choose one:  answer {ref} with  |  answer {ref} without  |  answer {ref} leave")
        if not shown:
            answered = f" ({len(known)} answered; `notices --all` lists them.)" if known else ""
            print(f"No announced change is open.{answered}")
    return DONE


async def answer(options: argparse.Namespace) -> int:
    """Answer a notice, or change the answer, before its date or after it."""
    async with opened(options) as agent:
        one = await notices.named(agent, options.notice)
        choice = Choice(options.choice) if options.choice else await _asked(one)
        if choice is None:
            print(f"Left open. If you do not answer, you continue {one.seen.silence} it.")
            return DONE
        await agent.inbox.answer_notice(one.collective_id, one.seen.notice_ref, choice)
        await _say(agent, one, choice)
    return DONE


async def object_to(options: argparse.Namespace) -> int:
    """Show what the aggregator says about this wallet in a collective, and object to an exclusion."""
    async with opened(options) as agent:
        collective_id = await named_permit(agent, options.collective)
        if options.text:
            await standing.appeal(agent, collective_id, options.text)
        said = await standing.of(agent, collective_id)
        for sentence in standing.sentences(said) if said else ["Nothing was said against this wallet there."]:
            print(terminal.clean(sentence))
        if options.text and await agent.outbox.waiting():
            print("The aggregator could not be told yet. `run` tells it.")
    return DONE


async def _asked(one: Announced) -> Choice | None:
    if not terminal.somebody():
        raise BadData("Nobody is here to ask. Give the choice too: with, without or leave.")
    given = await terminal.ask(consent.question_about(one.name, one.sentences))
    return Choice(given) if given in set(Choice) else None


async def _say(agent: WalletAgent, one: Announced, choice: Choice) -> None:
    name = terminal.clean(one.name)
    if choice is Choice.LEAVE:
        print(f"You left {name}: its permit is deleted and it gets nothing from now on.")
    elif choice is Choice.WITH:
        print(f"You continue with it; it runs here not before {terminal.when(one.runs_from)} UTC.")
    else:
        print("You continue without it; your wallet refuses it, whatever a server says.")
    if await agent.outbox.waiting():
        print(
            "The collective could not be told yet. Your wallet keeps to the choice already; `run` tells it."
        )
    if choice is not Choice.LEAVE:
        print("You can change this at any time with `answer`.")
