"""What this wallet asks of an algorithm and of the round it comes in, whoever audited, announced and signed it.

Nothing here trusts a server: the delivered manifest has been parsed by this wallet, which refuses any word and any number outside
the vocabulary, and these rules compare it with the round's header. What they refuse is refused before a receipt, so nothing is owed.
"""

from __future__ import annotations

from aggregation.secagg.messages import Header
from aggregation.wire import once
from aggregation.wire.once import Once
from collectives.terms.algorithm import (
    EVALUATION,
    TRAINED,
    Manifest,
    most_ratio,
    output_length,
    release_ratio,
)
from collectives.training.checkpoint import checkpoint_hash, weights_to_bytes
from collectives.training.init import initial_weights
from wallets.agent.refusals import Refusal


def objection(manifest: Manifest, header: Header, *, remembered: Once = once.always) -> Refusal | None:
    """The first rule that the algorithm breaks in this round, or None.

    * The answer has the length, and the clip is at most the one, that the announced algorithm says: a round may clip harder. An
      update may carry one coordinate more, the mark of an adaptive clip.
    * A job's first model is the one its public seed gives, so nobody crafted it. An evaluation judges a given one instead.
    * Not more numbers are released than `most_ratio` per wallet and field, by the smallest cohort the header allows. Noise of at
      least the clip bound on every bucket sum is enough without this rule; development rounds have no minimum to speak of.
    """
    if header.d != output_length(manifest) + marked(manifest, header):
        return Refusal.SHAPE_MISMATCH
    if header.clip_micro > manifest.output.clip_micro:
        return Refusal.SHAPE_MISMATCH
    if (
        header.round == 1
        and manifest.output.kind != EVALUATION
        and not _initial(manifest, header, remembered)
    ):
        return Refusal.NOT_INITIAL
    quiet = header.bucket_min * header.noise_micro**2 < header.clip_micro**2
    if (
        quiet
        and not header.development
        and release_ratio(manifest, header.release_min) > most_ratio(manifest)
    ):
        return Refusal.RATIO_TOO_HIGH
    return None


def marked(manifest: Manifest, header: Header) -> bool:
    """Whether the round asks, beside an update, for the mark of an adaptive clip."""
    return manifest.output.kind in TRAINED and header.d == output_length(manifest) + 1


def _initial(manifest: Manifest, header: Header, remembered: Once) -> bool:
    found = remembered(("initial", manifest.hash, header.job), lambda: _initial_hash(manifest, header.job))
    return found == header.checkpoint_hash


def _initial_hash(manifest: Manifest, job: bytes) -> bytes:
    weights = weights_to_bytes(initial_weights(manifest, job))
    return checkpoint_hash(bytes.fromhex(manifest.hash), 0, weights)
