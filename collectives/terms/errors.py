"""What can be wrong with a document, by name."""

from __future__ import annotations

from typing import Any

from collectives.terms.sentences import Sentence


class TermsError(Exception):
    """A document, requirement or manifest is not acceptable. `code` is for programs, the text says what to do.

    `sentence` is a pattern whose blanks `values` fill, for doors that speak another language than English.
    """

    status = 400

    def __init__(self, code: str, sentence: str, /, **values: Any) -> None:
        said = {name: v.sentence if isinstance(v, TermsError) else v for name, v in values.items()}
        self.sentence: Sentence = sentence if isinstance(sentence, Sentence) else Sentence(sentence, **said)
        super().__init__(str(self.sentence))
        self.code = code
