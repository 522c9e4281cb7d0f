"""What a job's wallets have said so far, where their answers are a finding and not a step of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collectives.models import Checkpoint
from collectives.terms.algorithm import TRAINED, parse_manifest
from collectives.training.outcome import findings as read
from collectives.training.update import ServerState


def findings(manifest: Mapping[str, Any], checkpoint: Checkpoint | None) -> dict[str, Any]:
    """Means, histograms, covariances, or the quality of a judged model, in plain numbers; {} for a job that trains."""
    parsed = parse_manifest(manifest)
    if checkpoint is None or parsed.output.kind in TRAINED:
        return {}
    return read(parsed, ServerState.from_bytes(bytes(checkpoint.weights), bytes(checkpoint.moments)))
