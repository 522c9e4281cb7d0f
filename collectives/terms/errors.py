"""What can be wrong with a document, by name."""

from __future__ import annotations


class TermsError(Exception):
    """A document, requirement or manifest is not acceptable. `code` is for programs, the text says what to do."""

    status = 400

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
