from __future__ import annotations


class DeskError(Exception):
    """`code` is stable; the text says what to do; `status` is the HTTP answer."""

    def __init__(self, code: str, sentence: str, *, status: int = 400) -> None:
        super().__init__(sentence)
        self.code = code
        self.status = status
