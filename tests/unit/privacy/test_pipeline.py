"""The whole way of an update: what comes out of a sum is the mean that went in, rotated or not, one wallet or many."""

from __future__ import annotations

import numpy as np
import pytest

from aggregation.privacy import pipeline
from tests.unit.privacy.test_privacy import seeded

SEED = bytes(reversed(range(32)))


@pytest.mark.parametrize("seed", [b"", SEED])
def test_the_mean_of_many_comes_back(seed: bytes) -> None:
    updates = np.frombuffer(seeded(21)(300 * 5), dtype=np.uint8).reshape(300, 5) / 255.0 - 0.5
    sent = pipeline.protect(
        updates,
        clip_micro=4_000_000,
        noise_micro=20_000,
        value_bits=20,
        fraction_bits=14,
        rng=seeded(1),
        rotation_seed=seed,
    )

    assert sent.shape == (300, 8 if seed else 5)
    mean = pipeline.recover(sent.sum(axis=0), count=300, fraction_bits=14, d=5, rotation_seed=seed)
    np.testing.assert_allclose(mean, updates.mean(axis=0), atol=5 * 0.02 / 300**0.5)
    assert np.abs(mean - updates.mean(axis=0)).max() > 1e-6, "noise is in it"


def test_rotated_values_need_fewer_bits() -> None:
    """A thousand coordinates whose energy lies in one: five bits clamp it unrotated, and lose nothing rotated."""
    lonely = np.zeros((1, 1000))
    lonely[0, 3] = 1.0

    def back(seed: bytes) -> float:
        sent = pipeline.protect(
            lonely,
            clip_micro=1_000_000,
            noise_micro=0,
            value_bits=5,
            fraction_bits=7,
            rng=seeded(3),
            rotation_seed=seed,
        )
        return float(pipeline.recover(sent[0], count=1, fraction_bits=7, d=1000, rotation_seed=seed)[3])

    assert back(b"") == pytest.approx(15 / 128)
    assert back(SEED) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("seed, size", [(b"", 7), (SEED, 5)])
def test_a_sum_of_another_length_is_refused(seed: bytes, size: int) -> None:
    with pytest.raises(ValueError, match="5 coordinates"):
        pipeline.recover(np.zeros(size, np.int64), count=1, fraction_bits=8, d=5, rotation_seed=seed)
    with pytest.raises(ValueError, match="at least one"):
        pipeline.recover(np.zeros(8, np.int64), count=0, fraction_bits=8, d=5, rotation_seed=SEED)
