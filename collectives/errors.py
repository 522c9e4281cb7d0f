"""Why the collective domain says no. `code` is for programs, the text says what to do, `status` is the HTTP answer."""

from __future__ import annotations


class CollectiveError(Exception):
    def __init__(self, code: str, sentence: str, *, status: int = 400) -> None:
        super().__init__(sentence)
        self.code = code
        self.status = status


class ServiceUnavailable(Exception):
    """The distributor or the aggregator did not answer now; try again later."""


class ServiceRefused(Exception):
    """The distributor or the aggregator said no for good."""

    def __init__(self, code: str, sentence: str, status: int) -> None:
        super().__init__(sentence)
        self.code = code
        self.status = status
