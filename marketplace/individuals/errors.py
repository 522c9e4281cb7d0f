"""Why a wallet or a person is told no. `code` is for programs, the sentence says what to do, `status` is the HTTP answer."""

from __future__ import annotations


class IndividualError(Exception):
    def __init__(self, code: str, sentence: str, *, status: int = 400) -> None:
        super().__init__(sentence)
        self.code = code
        self.status = status


class DistributorDown(IndividualError):
    """The distributor did not answer now; the same call may be made again."""

    def __init__(self) -> None:
        super().__init__(
            "distributor_down",
            "The service that reaches wallets does not answer. Try again in a minute.",
            status=503,
        )
