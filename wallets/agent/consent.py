"""Consent: who says yes, on which document, and the receipt the holder keeps.

Always decided on the signed terms themselves, never on a page of the marketplace. A rule is the holder's own standing
answer, shown and revocable: `ask` every time, accept what the holder `confirmed on the web` (the offer came through the
holder's own pairing), or the `host` rule of someone who runs wallets that are theirs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from collectives.terms.description import Terms, words_for_agreement
from wallets.agent.messages import Choice

RULE = ("meta", "consent-rule")


class Rule(StrEnum):
    """A holder's standing answer."""

    ASK = "ask"
    WEB = "confirmed-on-web"
    HOST = "host"


@dataclass(frozen=True, kw_only=True)
class Question:
    """What the holder is asked: a title, sentences taken from the signed document, and the answers to choose from."""

    title: str
    sentences: tuple[str, ...]
    answers: tuple[str, ...]


Ask = Callable[[Question], Awaitable[str]]
"""Puts a question to the holder and returns one of its answers."""


class Consent:
    """Decides by rule, or asks. Without anyone to ask, `ask` means no."""

    def __init__(self, rule: Rule, ask: Ask | None = None) -> None:
        self.rule = rule
        self._ask = ask

    async def to_terms(self, terms: Terms, *, through_pairing: bool) -> tuple[bool, str]:
        """Whether the holder agrees, and how the answer was given."""
        if self.rule is Rule.HOST:
            return True, "rule: host"
        if self.rule is Rule.WEB and through_pairing:
            return True, "rule: accept what I confirmed on the web"
        if self._ask is None:
            return False, "nobody to ask"
        question = Question(
            title=f"Subscribe to {terms.name}?", sentences=sentences(terms), answers=("not now", "subscribe")
        )
        return await self._ask(question) == "subscribe", "asked"

    async def to_notice(self, name: str, words: tuple[str, ...]) -> Choice | None:
        """The holder's choice, or None to leave it open (then the agreed meaning of silence holds)."""
        if self.rule is Rule.HOST:
            return Choice.WITH
        if self._ask is None:
            return None
        answer = await self._ask(question_about(name, words))
        return Choice(answer) if answer in set(Choice) else None


def question_about(name: str, words: tuple[str, ...]) -> Question:
    """The same question wherever a notice is shown: three choices of equal weight, and leaving it open first."""
    answers = ("decide later", *(choice.value for choice in Choice))
    return Question(title=f"{name} announces a change", sentences=words, answers=answers)


def sentences(terms: Terms) -> tuple[str, ...]:
    """The consent screen in words, from the signed document."""
    return tuple(words_for_agreement(terms))
