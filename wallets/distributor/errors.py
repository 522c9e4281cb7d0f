"""Named refusals of the distributor. `code` is for programs, the sentence says what to do, `status` is the HTTP answer."""

from __future__ import annotations


class DistributorError(Exception):
    code = "refused"
    status = 400

    def __init__(self, sentence: str, *, code: str | None = None, status: int | None = None) -> None:
        super().__init__(sentence)
        if code is not None:
            self.code = code
        if status is not None:
            self.status = status


class Malformed(DistributorError):
    code = "malformed"
    status = 400


class Unknown(DistributorError):
    code = "not_found"
    status = 404


class Conflict(DistributorError):
    """The reference was used before with other content, or the state does not allow it any more."""

    code = "conflict"
    status = 409


class AggregatorDown(DistributorError):
    """The aggregator did not answer; the call is repeated later."""

    code = "aggregator_down"
    status = 503


class AggregatorRefused(DistributorError):
    """The aggregator said no for good."""

    code = "aggregator_refused"
    status = 409
