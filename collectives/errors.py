"""Why the collective domain says no. `code` is for programs, the text says what to do, `status` is the HTTP answer."""

from __future__ import annotations

from typing import Any, Self

from collectives.terms.errors import TermsError
from collectives.terms.sentences import Sentence
from collectives.words import worded


class Refusal(Exception):
    """What a person asked for is not done, and why: English with blanks where it is raised, the reader's language as text."""

    default_status = 400

    def __init__(self, code: str, sentence: str, /, *, status: int | None = None, **values: Any) -> None:
        self.sentence = sentence if isinstance(sentence, Sentence) else Sentence(sentence, **values)
        super().__init__(code, str(self.sentence))
        self.code = code
        self.status = self.default_status if status is None else status

    def __str__(self) -> str:
        return worded(self.sentence)

    @classmethod
    def because(cls, error: Refusal | TermsError) -> Self:
        """The same refusal in this domain's name."""
        return cls(error.code, error.sentence, status=error.status)


class CollectiveError(Refusal):
    pass


class ServiceUnavailable(Exception):
    """The distributor or the aggregator did not answer now; try again later."""


class ServiceRefused(Exception):
    """The distributor or the aggregator said no for good."""

    def __init__(self, code: str, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.code = code
        self.status = status
