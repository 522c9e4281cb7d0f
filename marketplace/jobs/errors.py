"""Why an order cannot be taken; the text carries the numbers and says what to do."""

from __future__ import annotations


class OrderError(Exception):
    def __init__(self, code: str, sentence: str, *, status: int = 400) -> None:
        super().__init__(sentence)
        self.code = code
        self.status = status
