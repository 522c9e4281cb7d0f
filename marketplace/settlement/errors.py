"""Why money does not move. `code` is for programs; the text carries the numbers; `permanent` ends retrying."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from collectives.errors import Refusal


class SettlementError(Refusal):
    default_status = 409


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


@contextmanager
def before_money_moves() -> Iterator[None]:
    """Around what is asked of the chain before anything is written: where it cannot answer, a sentence says so.

    Raises:
        SettlementError: `wrong_chain` or `chain_down`.
    """
    try:
        yield
    except WrongChain as error:
        raise SettlementError(
            "wrong_chain", "%(error)s Nothing was moved; the administrator must look.", error=error
        ) from error
    except ChainUnavailable as error:
        raise SettlementError(
            "chain_down", "The chain does not answer now. Nothing was moved; try again later."
        ) from error
