"""Every reason this wallet says no: one code and one sentence for the holder's journal, and one vague word for the wire."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Refusal(StrEnum):
    """Every reason a holder's machine says no. The value is the code in the journal."""

    MALFORMED = "malformed"
    BAD_SIGNATURE = "bad_signature"
    NO_PERMIT = "no_permit"
    PERMIT_EXPIRED = "permit_expired"
    PERMIT_CHANGED = "permit_changed"
    PAUSED = "paused"
    WRONG_COLLECTIVE = "wrong_collective"
    WRONG_REQUIREMENT = "wrong_requirement"
    WRONG_MANIFEST = "wrong_manifest"
    RATE_TOO_LOW = "rate_too_low"
    MINIMA_TOO_LOW = "minima_too_low"
    NOISE_TOO_LOW = "noise_too_low"
    UNANNOUNCED_ALGORITHM = "unannounced_algorithm"
    OUTSIDE_CLASS = "outside_class"
    NOTICE_RUNNING = "notice_running"
    NOTICE_TOO_SHORT = "notice_too_short"
    OPTED_OUT = "opted_out"
    UNKNOWN_JOB = "unknown_job"
    JOB_EXPIRED = "job_expired"
    NOT_IN_LOG = "not_in_log"
    HEADER_MISMATCH = "header_mismatch"
    UNSUPPORTED = "unsupported"
    MODEL_TOO_LARGE = "model_too_large"
    TASK_EXPIRED = "task_expired"
    REPLAYED_ROUND = "replayed_round"
    TOO_MANY_ROUNDS = "too_many_rounds"
    DAILY_LIMIT = "daily_limit"
    TOTAL_LIMIT = "total_limit"
    PRIVACY_BUDGET = "privacy_budget"
    JOB_PRIVACY_BUDGET = "job_privacy_budget"
    PERSON_PRIVACY_BUDGET = "person_privacy_budget"
    SANDBOX_TOO_LOW = "sandbox_too_low"
    DATA_MISSING = "data_missing"
    WRONG_PAYLOAD = "wrong_payload"
    WEIGHTS_OUT_OF_RANGE = "weights_out_of_range"
    TRAP_WEIGHTS = "trap_weights"
    SHAPE_MISMATCH = "shape_mismatch"
    NOT_INITIAL = "not_initial"
    RATIO_TOO_HIGH = "ratio_too_high"
    ANSWERED_ONCE = "answered_once"
    WRONG_TERMS = "wrong_terms"
    DEVELOPMENT_TERMS = "development_terms"
    ALREADY_SUBSCRIBED = "already_subscribed"
    TOO_MANY = "too_many"
    MALFORMED_FRAME = "malformed_frame"
    HUGE_FRAME = "huge_frame"
    CLOCK_SKEW = "clock_skew"
    WRONG_SERVER = "wrong_server"

    @property
    def sentence(self) -> str:
        """One sentence for the holder's journal."""
        return SENTENCES[self]

    @property
    def wire(self) -> str:
        """The only word the other side hears."""
        return "later" if self in LATER else "no"


LATER = frozenset({Refusal.NOTICE_RUNNING, Refusal.DAILY_LIMIT, Refusal.PAUSED, Refusal.TOO_MANY})

SENTENCES: Mapping[Refusal, str] = {
    Refusal.MALFORMED: "The message is not in the agreed form.",
    Refusal.BAD_SIGNATURE: "The signature is not by the key in your permit.",
    Refusal.NO_PERMIT: "You have no permit for this collective, so nothing was done.",
    Refusal.PERMIT_EXPIRED: "Your permit has ended.",
    Refusal.PERMIT_CHANGED: "Your permit changed while this visit was running.",
    Refusal.PAUSED: "You have paused this collective.",
    Refusal.WRONG_COLLECTIVE: "The message names another collective than the one that signed it.",
    Refusal.WRONG_REQUIREMENT: "It asks for other data than you agreed to.",
    Refusal.WRONG_MANIFEST: "The algorithm is not the one that was announced for this job.",
    Refusal.RATE_TOO_LOW: "It pays another rate than you agreed to.",
    Refusal.MINIMA_TOO_LOW: "Fewer wallets would be summed together than you agreed to.",
    Refusal.NOISE_TOO_LOW: "Less noise would be added than the agreed floor.",
    Refusal.UNANNOUNCED_ALGORITHM: "This algorithm was never announced to you.",
    Refusal.OUTSIDE_CLASS: "This algorithm is outside the class of algorithms you agreed to.",
    Refusal.NOTICE_RUNNING: "The notice period for this algorithm is not over yet.",
    Refusal.NOTICE_TOO_SHORT: "The announced notice period is shorter than the one you agreed to.",
    Refusal.OPTED_OUT: "You stay subscribed without this algorithm.",
    Refusal.UNKNOWN_JOB: "You are not enrolled in this job.",
    Refusal.JOB_EXPIRED: "The job has ended.",
    Refusal.NOT_IN_LOG: "The proof that your enrolment is in the frozen log does not hold.",
    Refusal.HEADER_MISMATCH: "The round's header does not match the signed task.",
    Refusal.UNSUPPORTED: "The round turns updates by a seed that is not the round's public one.",
    Refusal.MODEL_TOO_LARGE: "The round learns more numbers at once than this wallet computes; an always-on agent takes larger models than a browser.",
    Refusal.TASK_EXPIRED: "The task has expired.",
    Refusal.REPLAYED_ROUND: "This round, or a later one, was asked before.",
    Refusal.TOO_MANY_ROUNDS: "The job announced fewer rounds.",
    Refusal.DAILY_LIMIT: "Your own limit of visits per day is reached.",
    Refusal.TOTAL_LIMIT: "Your own limit of visits for this collective is reached.",
    Refusal.PRIVACY_BUDGET: "This visit would exceed the privacy budget you set for this collective.",
    Refusal.JOB_PRIVACY_BUDGET: "This visit would exceed the privacy budget of one job.",
    Refusal.PERSON_PRIVACY_BUDGET: "This visit would exceed your privacy budget of a year over all collectives together.",
    Refusal.SANDBOX_TOO_LOW: "The sandbox on this machine lacks a layer that you or the collective ask for.",
    Refusal.DATA_MISSING: "Your data does not meet the requirement.",
    Refusal.WRONG_PAYLOAD: "The delivered model is not the one the task names.",
    Refusal.WEIGHTS_OUT_OF_RANGE: "The delivered model has weights outside the allowed range.",
    Refusal.TRAP_WEIGHTS: "The delivered model has the shape of a trap that picks single records out of a sum.",
    Refusal.SHAPE_MISMATCH: "The round asks for more numbers, or looser ones, than the announced algorithm gives.",
    Refusal.NOT_INITIAL: "The job's first model is not the one that its public seed gives, so somebody chose it.",
    Refusal.RATIO_TOO_HIGH: "So many numbers would be learned from so few wallets that single records could be worked out.",
    Refusal.ANSWERED_ONCE: "You answered this question before; two answers could be subtracted from each other.",
    Refusal.WRONG_TERMS: "The terms are not the ones that were offered.",
    Refusal.DEVELOPMENT_TERMS: "These are development terms with lowered minima, which you do not allow.",
    Refusal.ALREADY_SUBSCRIBED: "You already have a permit for this collective.",
    Refusal.TOO_MANY: "Too many messages of this kind in a short time.",
    Refusal.MALFORMED_FRAME: "The server sent something that is not in the protocol.",
    Refusal.HUGE_FRAME: "The server sent a message larger than the protocol allows, so the line was cut.",
    Refusal.CLOCK_SKEW: "The server's clock and this machine's differ by more than five minutes, so nothing was said to it.",
    Refusal.WRONG_SERVER: "The server could not prove the key pinned at pairing, so nothing was said to it.",
}
