"""The output contract: what a worker may hand back, and what it becomes before it is masked."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.unit.agent import documents
from wallets.agent import output
from wallets.agent.errors import OutputRefused

KEY = documents.Collective().key
HEADER = documents.header(
    "00000000-0000-4000-8000-000000000000",
    log_root=bytes(32),
    log_size=1,
    distributor_key=bytes.fromhex(KEY),
    d=4,
)
QUIET = documents.header(
    "00000000-0000-4000-8000-000000000000",
    log_root=bytes(32),
    log_size=1,
    distributor_key=bytes.fromhex(KEY),
    d=4,
    noise_micro=0,
)


def raw(*values: float) -> bytes:
    return np.array(values, dtype="<f4").tobytes()


def test_a_short_update_keeps_its_direction_within_rounding() -> None:
    values = output.contract(raw(0.25, -0.5, 0, 0.125), QUIET, os.urandom)
    assert values.dtype == np.int64
    assert np.abs(values / 2**QUIET.f - [0.25, -0.5, 0, 0.125]).max() <= 1 / 2**QUIET.f


def test_a_long_update_is_clipped_to_the_bound() -> None:
    values = output.contract(raw(300, 400, 0, 0), QUIET, os.urandom) / 2**QUIET.f
    assert abs(np.linalg.norm(values) - 1) < 1e-3
    assert np.allclose(values, [0.6, 0.8, 0, 0], atol=1e-3)


def test_this_wallets_share_of_noise_is_in_it() -> None:
    header = HEADER
    drawn = np.concatenate([output.contract(raw(0, 0, 0, 0), header, os.urandom) for _ in range(2000)])
    sigma = header.noise_micro / 1e6 * 2**header.f
    assert abs(drawn.std() / sigma - 1) < 0.04
    assert abs(drawn.mean()) < 5 * sigma / np.sqrt(drawn.size)


@pytest.mark.parametrize(
    "answer, code",
    [
        (b"", "short"),
        (raw(1, 2, 3), "short"),
        (raw(1, 2, 3, 4, 5), "short"),
        (raw(1, 2, 3, 4) + b"\0", "short"),
        (raw(1, float("nan"), 3, 4), "not_finite"),
        (raw(1, float("inf"), 3, 4), "not_finite"),
    ],
)
def test_anything_else_is_refused_by_a_fixed_code(answer: bytes, code: str) -> None:
    with pytest.raises(OutputRefused) as refused:
        output.contract(answer, HEADER, os.urandom)
    assert refused.value.code == code


def test_a_nan_payload_carries_nothing_out() -> None:
    """A NaN has 22 free bits; it must not survive in any form."""
    sneaky = np.array([0x7FC12345, 0, 0, 0], dtype="<u4").tobytes()
    with pytest.raises(OutputRefused):
        output.contract(sneaky, HEADER, os.urandom)


def test_values_never_leave_the_quantisers_range() -> None:
    loud = documents.header(
        "00000000-0000-4000-8000-000000000000",
        log_root=bytes(32),
        log_size=1,
        distributor_key=bytes.fromhex(KEY),
        d=4,
        q=13,
        noise_micro=1_000_000,
    )
    for _ in range(200):
        values = output.contract(raw(1, 0, 0, 0), loud, os.urandom)
        assert np.abs(values).max() <= 2**12 - 1
