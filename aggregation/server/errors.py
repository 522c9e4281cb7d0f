"""Named refusals of the aggregator. `code` is for programs, the sentence says what to do, `status` is the HTTP answer."""

from __future__ import annotations


class AggregatorError(Exception):
    code = "refused"
    status = 400

    def __init__(self, sentence: str, *, code: str | None = None, status: int | None = None) -> None:
        super().__init__(sentence)
        if code is not None:
            self.code = code
        if status is not None:
            self.status = status


class Malformed(AggregatorError):
    code = "malformed"
    status = 400


class Unknown(AggregatorError):
    code = "not_found"
    status = 404


class Conflict(AggregatorError):
    """The reference was used before with other content, or the state does not allow it any more."""

    code = "conflict"
    status = 409


class PhaseOver(AggregatorError):
    """The message came after its phase was closed."""

    code = "phase_over"
    status = 410


class LeaseLost(Exception):
    """Another worker took this round over: commit nothing."""
