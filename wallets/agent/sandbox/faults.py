"""The fixed words about a worker that failed, and a sentence for the holder for each. Nothing a worker says gets further than this."""

from __future__ import annotations

from wallets.agent.errors import SandboxError
from wallets.agent.sandbox.policy import Fault
from wallets.agent.sandbox.worker import FAULT_BYTES

FAULT_OF_BYTE = {number: fault for fault, number in FAULT_BYTES.items()}
_SENTENCES = {
    Fault.FAILED: "The algorithm stopped with an error.",
    Fault.TIME: "The algorithm took longer than allowed and was stopped.",
    Fault.MEMORY: "The algorithm wanted more memory than allowed and was stopped.",
    Fault.CRASHED: "The algorithm's process ended without an answer.",
    Fault.OVERSIZED: "The algorithm answered with more than it may.",
    Fault.SHORT: "The algorithm answered with less than it must.",
    Fault.REFUSED: "The sandbox refused the job.",
    Fault.LOST: "The sandbox itself ended; it is started again for the next visit.",
}


def fault(kind: Fault) -> SandboxError:
    """The error of that kind."""
    return SandboxError(_SENTENCES[kind], code=kind.value)
