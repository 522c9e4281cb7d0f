"""Why money does not move. `code` is for programs; the text carries the numbers; `permanent` ends retrying."""

from __future__ import annotations


class SettlementError(Exception):
    def __init__(self, code: str, sentence: str, *, status: int = 409) -> None:
        super().__init__(sentence)
        self.code, self.status = code, status


class ChainUnavailable(Exception):
    """The chain did not answer; try again later."""


class ChainRefused(Exception):
    """The chain will never accept this; `known` says that it has it already."""

    def __init__(self, sentence: str, *, known: bool = False) -> None:
        super().__init__(sentence)
        self.known = known


class WrongChain(ChainUnavailable):
    """The endpoint serves another chain than the pinned one: as good as no chain, and nothing is sent to it."""


class NotThere(Exception):
    """A contract does not have what was asked of it, or refuses to say."""


class FeesTooHigh(ChainUnavailable):
    """Gas costs more than this site pays. Everything waits; nothing is lost."""
