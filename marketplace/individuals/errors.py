"""Why a wallet or a person is told no. `code` is for programs, the sentence says what to do, `status` is the HTTP answer."""

from __future__ import annotations

from collectives.errors import Refusal


class IndividualError(Refusal):
    pass


class DistributorDown(IndividualError):
    """The distributor did not answer now; the same call may be made again."""

    def __init__(self) -> None:
        super().__init__(
            "distributor_down",
            "The service that reaches wallets does not answer. Try again in a minute.",
            status=503,
        )
